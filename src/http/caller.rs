//! Who sent a request, and whether a route is for them. Knows no route.

use std::net::IpAddr;

use super::{Access, Refusal};
use crate::tls::{Identity, Role};

/// Who sent a request: what its connection proved. No header says anything about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Caller {
    /// Somebody on this machine, by a loopback listener.
    Local,
    /// Somebody with a certificate of the cluster's, and where they are.
    Known { identity: Identity, from: IpAddr },
    /// Somebody whose certificate does not count: it was revoked, or is for another listener.
    Unwelcome,
    /// Somebody without a certificate.
    Nobody,
}

impl Access {
    /// Whether `caller` may use a route of this kind.
    pub fn admits(self, caller: &Caller) -> Result<(), Refusal> {
        let role = match (self, caller) {
            (Self::Anyone, _) | (Self::Viewer | Self::Admin, Caller::Local) => return Ok(()),
            (Self::Member | Self::Worker, Caller::Local) => {
                return Err(Refusal::new(403, "this is for members with a certificate, on the TLS listener"));
            }
            (_, Caller::Known { identity, .. }) => identity.role,
            (_, Caller::Unwelcome) => {
                let why = "this certificate does not count here: it was revoked, or is for another listener; \
                           for a new one, `cube-tui invite` at the manager";
                return Err(Refusal::new(401, why));
            }
            (_, Caller::Nobody) => {
                let why = "this needs a certificate of the cluster's; `cube-tui invite` at the manager prints the \
                           line for `cube-tui join`";
                return Err(Refusal::new(401, why));
            }
        };
        let is_admitted = match self {
            Self::Anyone | Self::Member => true,
            Self::Viewer => matches!(role, Role::Viewer | Role::Admin | Role::Manager),
            Self::Admin => matches!(role, Role::Admin | Role::Manager),
            Self::Worker => role == Role::Worker,
        };
        if is_admitted {
            return Ok(());
        }
        Err(Refusal::new(403, format!("the role {} may not do this; {} may", role.name(), self.whose())))
    }

    fn whose(self) -> &'static str {
        match self {
            Self::Anyone | Self::Member => "everybody in the cluster",
            Self::Viewer => "viewers and admins",
            Self::Admin => "admins",
            Self::Worker => "workers",
        }
    }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;
    use uuid::Uuid;

    use super::*;

    fn known(role: Role) -> Caller {
        let identity =
            Identity { role, name: "box".to_owned(), member: Uuid::nil(), expires: Timestamp::UNIX_EPOCH };
        Caller::Known { identity, from: IpAddr::from([10, 0, 0, 1]) }
    }

    #[test]
    fn each_kind_of_route_is_for_those_it_names() {
        use Access::{Admin, Anyone, Member, Viewer, Worker};
        let callers = [
            Caller::Nobody,
            Caller::Unwelcome,
            known(Role::Worker),
            known(Role::Viewer),
            known(Role::Admin),
            known(Role::Manager),
            Caller::Local,
        ];
        for (access, expected) in [
            (Anyone, [0, 0, 0, 0, 0, 0, 0]),
            (Member, [401, 401, 0, 0, 0, 0, 403]),
            (Worker, [401, 401, 0, 403, 403, 403, 403]),
            (Viewer, [401, 401, 403, 0, 0, 0, 0]),
            (Admin, [401, 401, 403, 403, 0, 0, 0]),
        ] {
            let status = |caller| access.admits(caller).err().map_or(0, |refusal| refusal.status());
            assert_eq!(callers.each_ref().map(status), expected, "{access:?}");
        }
    }
}
