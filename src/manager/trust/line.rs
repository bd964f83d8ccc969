//! The one line that makes somebody elsewhere a member: where the manager answers, the pin of its authority, and the
//! invite. Knows no connection.

use std::{fmt, str::FromStr};

use uuid::Uuid;

use crate::tls::{Pin, Role};

/// How a line begins.
pub const PREFIX: &str = "cube-join:";

/// `cube-join:HOST:PORT[,HOST:PORT…]/PIN/ID/SECRET/ROLE`, without a character that a shell takes for its own.
#[derive(Clone, PartialEq, Eq)]
pub struct JoinLine {
    /// `host:port` each.
    pub addresses: Vec<String>,
    pub pin: Pin,
    pub invite: Uuid,
    pub secret: String,
    pub role: Role,
}

impl fmt::Debug for JoinLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "JoinLine({}, {})", self.addresses.join(","), self.invite)
    }
}

impl fmt::Display for JoinLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { addresses, pin, invite, secret, role } = self;
        let (addresses, invite, role) = (addresses.join(","), invite.simple(), role.name());
        write!(f, "{PREFIX}{addresses}/{pin}/{invite}/{secret}/{role}")
    }
}

impl FromStr for JoinLine {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        // Nothing of it is repeated in an error: it is a secret.
        let expected = || {
            format!(
                "expected the line that `cube-tui invite` printed at the manager; it begins with {PREFIX}"
            )
        };
        let rest = text.trim().strip_prefix(PREFIX).ok_or_else(expected)?;
        let parts: Vec<&str> = rest.split('/').collect();
        let [addresses, pin, invite, secret, role] = parts[..] else { return Err(expected()) };
        let addresses: Vec<String> = addresses.split(',').map(str::to_owned).collect();
        let is_address = |address: &String| {
            address
                .rsplit_once(':')
                .is_some_and(|(host, port)| !host.is_empty() && port.parse::<u16>().is_ok())
        };
        if !addresses.iter().all(is_address) {
            return Err(expected());
        }
        Ok(Self {
            addresses,
            pin: pin.parse().map_err(|()| expected())?,
            invite: invite.parse().map_err(|_| expected())?,
            secret: secret.to_owned(),
            role: Role::of_name(role).ok_or_else(expected)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_comes_back_as_it_went_and_an_error_does_not_repeat_it() {
        let pin = "A".repeat(43);
        let text = format!(
            "cube-join:10.0.0.1:5557,[fd00::1]:5557/{pin}/67e5504410b1426f9247bb680e5fe0c8/s-3_cret/worker"
        );
        let line: JoinLine = text.parse().unwrap();
        assert_eq!(line.addresses, ["10.0.0.1:5557", "[fd00::1]:5557"]);
        assert_eq!((line.role, line.to_string()), (Role::Worker, text.clone()));
        assert_eq!(format!(" {text}\n").parse::<JoinLine>().unwrap(), line);
        assert!(!format!("{line:?}").contains("s-3_cret"));
        for broken in [
            text.replace("/worker", ""),
            text.replace("worker", "king"),
            text.replace(":5557/", "/"),
            text.replace("cube-join:", ""),
            text.replace(&pin, "A"),
        ] {
            let error = broken.parse::<JoinLine>().unwrap_err();
            assert!(error.contains("cube-tui invite") && !error.contains("s-3_cret"), "{error}");
        }
    }
}
