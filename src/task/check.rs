//! What a TaskSpec may say: checked once, where it comes in, so that nothing behind has to. Knows no policy of
//! a worker's.

use std::collections::BTreeSet;

use super::contradiction::check_constraints;
use super::{
    FieldError, HealthCheck, MOST_SECRETS, Mount, NetworkMode, Privileges, Probe, SecretForm, TaskSpec,
};

/// Enough for any name that a person has to read.
const NAME_CHARS: usize = 128;
/// As long as the longest image reference with registry, path, tag and digest.
const IMAGE_CHARS: usize = 512;
/// No host has more; a typo does.
const CPUS: f64 = 65_536.0;
/// The engine's finest step.
const LEAST_CPUS: f64 = 0.001;
/// 1 EiB, and still within the engine's signed numbers.
const BYTES: u64 = 1 << 60;
/// Docker starts no container with less.
const LEAST_MEMORY: u64 = 6 << 20;
/// A day.
const STOP_TIMEOUT_S: u32 = 86_400;
/// A day.
const HEALTH_S: u32 = 86_400;
/// More failures in a row than this are no check any more.
const HEALTH_RETRIES: u32 = 1000;
/// More conditions than this nobody reads.
const CONSTRAINTS: usize = 64;
/// The kernel has fewer capabilities.
const PRIVILEGES: usize = 64;
/// Room for every order of importance.
const PRIORITY: i32 = 1000;
/// Labels with this prefix say whose a container is.
const OWN_LABELS: &str = "cube.";

impl TaskSpec {
    /// Whether this can be asked of a cluster. The first fault found, named by its field on the wire.
    pub fn check(&self) -> Result<(), FieldError> {
        self.check_names()?;
        self.check_limits()?;
        self.check_ports()?;
        if let Some(check) = &self.health_check {
            self.check_health(check)?;
        }
        for env in &self.env {
            check_env(env).map_err(|problem| FieldError::new("Env", problem))?;
        }
        for mount in &self.mounts {
            Mount::parse(mount).map_err(|problem| FieldError::new("Mounts", problem))?;
        }
        if let Some(privileges) = &self.privileges {
            check_privileges(privileges)?;
        }
        self.check_secrets().map_err(|problem| FieldError::new("Secrets", problem))?;
        for (key, value) in &self.labels {
            check_label(key, value).map_err(|problem| FieldError::new("Labels", problem))?;
        }
        self.check_place()
    }

    fn check_names(&self) -> Result<(), FieldError> {
        let name = |problem: String| Err(FieldError::new("Name", problem));
        if self.name.chars().count() > NAME_CHARS {
            return name(format!("expected at most {NAME_CHARS} characters"));
        }
        if self.name.contains(is_unprintable) {
            return name(unprintable(&self.name));
        }
        if self.image.is_empty() && self.cmd.is_empty() && self.entrypoint.is_empty() {
            return Err(FieldError::new("Image", "missing; a task needs an image to start from"));
        }
        if !self.image.is_empty() && !is_image(&self.image) {
            let problem = format!(
                "expected an image such as alpine:3.20 or registry.example:5000/team/app, found {:?}",
                shown(&self.image)
            );
            return Err(FieldError::new("Image", problem));
        }
        for (field, arguments) in [("Cmd", &self.cmd), ("Entrypoint", &self.entrypoint)] {
            if arguments.iter().any(|argument| argument.contains('\0')) {
                return Err(FieldError::new(field, "an argument can't hold a NUL character"));
            }
        }
        Ok(())
    }

    fn check_limits(&self) -> Result<(), FieldError> {
        if self.cpu != 0.0 && !(LEAST_CPUS..=CPUS).contains(&self.cpu) {
            let problem =
                format!("expected CPUs from {LEAST_CPUS} to {CPUS}, or 0 for no limit, found {}", self.cpu);
            return Err(FieldError::new("Cpu", problem));
        }
        for (field, bytes) in [("Memory", self.memory_bytes), ("Disk", self.disk_bytes)] {
            if bytes > BYTES {
                return Err(FieldError::new(
                    field,
                    format!("expected bytes, at most {BYTES}, found {bytes}"),
                ));
            }
        }
        if (1..LEAST_MEMORY).contains(&self.memory_bytes) {
            let problem = format!(
                "expected bytes, at least {LEAST_MEMORY} (6 MiB; engines start nothing with less), or 0 for no limit, found {}",
                self.memory_bytes
            );
            return Err(FieldError::new("Memory", problem));
        }
        if self.stop_timeout_s.is_some_and(|seconds| seconds > STOP_TIMEOUT_S) {
            let problem = format!("expected seconds, at most {STOP_TIMEOUT_S}");
            return Err(FieldError::new("StopTimeout", problem));
        }
        Ok(())
    }

    fn check_ports(&self) -> Result<(), FieldError> {
        let port = |port: &String| {
            if is_port(port) {
                return Ok(());
            }
            Err(format!("expected a port such as 80/tcp or 53/udp, found {:?}", shown(port)))
        };
        let mut exposed = self.exposed_ports.iter().flatten();
        exposed.try_for_each(port).map_err(|problem| FieldError::new("ExposedPorts", problem))?;
        for (container, host) in self.port_bindings.iter().flatten() {
            port(container).map_err(|problem| FieldError::new("PortBindings", problem))?;
            let is_number = host.bytes().all(|byte| byte.is_ascii_digit()) && host.parse::<u16>().is_ok();
            if !(host.is_empty() || is_number) {
                let problem = format!(
                    "expected a host port from 1 to 65535 for {container}, or 0 for a free one, found {:?}",
                    shown(host)
                );
                return Err(FieldError::new("PortBindings", problem));
            }
        }
        Ok(())
    }

    fn check_health(&self, check: &HealthCheck) -> Result<(), FieldError> {
        for (field, number, least, most) in [
            ("HealthStartPeriod", check.start_period_s, 0, HEALTH_S),
            ("HealthInterval", check.interval_s, 1, HEALTH_S),
            ("HealthTimeout", check.timeout_s, 1, HEALTH_S),
            ("HealthRetries", check.retries, 1, HEALTH_RETRIES),
        ] {
            if !(least..=most).contains(&number) {
                let of = if field == "HealthRetries" { "a number" } else { "seconds" };
                let problem = format!("expected {of} from {least} to {most}, found {number}");
                return Err(FieldError::new(field, problem));
            }
        }
        if let Probe::Command(words) = &check.probe {
            let is_program = words.first().is_some_and(|program| !program.is_empty());
            if !is_program || words.iter().any(|word| word.contains('\0')) {
                let problem = "expected a program and its arguments, without NUL characters";
                return Err(FieldError::new("HealthCmd", problem));
            }
            return Ok(());
        }
        if self.network_mode == NetworkMode::None {
            let problem = "a task without a network can't be asked; expected HealthCmd";
            return Err(FieldError::new("HealthCheck", problem));
        }
        // Without a list nobody can know: the image may expose the port. On the host's network a list means nothing.
        let ports = self.tcp_ports();
        if let Some(port) = check.probe.port()
            && self.network_mode == NetworkMode::Bridge
            && !(ports.is_empty() || ports.contains(&port))
        {
            let exposed: Vec<_> = ports.iter().map(u16::to_string).collect();
            let problem =
                format!("expected a port that the task exposes ({}), found {port}", exposed.join(", "));
            return Err(FieldError::new("HealthCheck", problem));
        }
        Ok(())
    }

    fn check_secrets(&self) -> Result<(), String> {
        if self.secrets.len() > MOST_SECRETS {
            return Err(format!("expected at most {MOST_SECRETS}"));
        }
        let mut places: BTreeSet<&str> =
            self.env.iter().filter_map(|env| env.split_once('=')).map(|(key, _)| key).collect();
        for secret in &self.secrets {
            secret.check()?;
            let (SecretForm::File(place) | SecretForm::Variable(place)) = &secret.form;
            if !places.insert(place) {
                return Err(format!("expected {place} to be filled once"));
            }
        }
        Ok(())
    }

    fn check_place(&self) -> Result<(), FieldError> {
        if self.constraints.len() > CONSTRAINTS {
            return Err(FieldError::new("Constraints", format!("expected at most {CONSTRAINTS}")));
        }
        if !(-PRIORITY..=PRIORITY).contains(&self.priority) {
            let problem =
                format!("expected a number from -{PRIORITY} to {PRIORITY}, found {}", self.priority);
            return Err(FieldError::new("Priority", problem));
        }
        check_constraints(&self.constraints).map_err(|problem| FieldError::new("Constraints", problem))
    }
}

/// Characters that would move the cursor, reorder the text around them or show as nothing: control bytes (C0, DEL,
/// C1), bidi marks, and what has no width of its own to be seen by.
pub fn is_unprintable(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{061c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}'
            | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

fn unprintable(text: &str) -> String {
    format!("expected printable characters only, found {:?}", shown(text))
}

/// Short enough for a message; `{:?}` makes it harmless.
pub(super) fn shown(text: &str) -> String {
    text.chars().take(60).collect()
}

/// `[HOST[:PORT]/]PATH[:TAG][@DIGEST]`; whether it exists is the engine's to say.
fn is_image(image: &str) -> bool {
    let is_known = |c: char| c.is_ascii_alphanumeric() || "._-:/@+".contains(c);
    image.len() <= IMAGE_CHARS
        && image.chars().all(is_known)
        && image.split(['/', ':', '@']).all(|part| {
            part.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '_') && !part.ends_with('-')
        })
}

/// `N/tcp` or `N/udp`.
fn is_port(port: &str) -> bool {
    let Some((number, "tcp" | "udp")) = port.split_once('/') else { return false };
    number.starts_with(|c: char| matches!(c, '1'..='9')) && number.parse::<u16>().is_ok()
}

/// `KEY=VALUE`; a value may have lines and tabs (keys and certificates do), nothing else that is unprintable.
fn check_env(env: &str) -> Result<(), String> {
    let (key, value) = match env.split_once('=') {
        Some((key, value)) if !key.is_empty() => (key, value),
        _ => return Err(format!("expected KEY=VALUE, found {:?}", shown(env))),
    };
    if key.contains(is_unprintable) {
        return Err(unprintable(key));
    }
    if value.contains(|c| is_unprintable(c) && !matches!(c, '\n' | '\r' | '\t')) {
        // The value may be a secret: it is not repeated.
        return Err(format!("expected printable characters only in the value of {key}"));
    }
    Ok(())
}

/// Each once: an engine would take the last one, or fail.
fn check_privileges(Privileges { cap_add, devices, .. }: &Privileges) -> Result<(), FieldError> {
    for (field, count) in [("CapAdd", cap_add.len()), ("Devices", devices.len())] {
        if count > PRIVILEGES {
            return Err(FieldError::new(field, format!("expected at most {PRIVILEGES}")));
        }
    }
    for capability in cap_add {
        capability.check_known().map_err(|problem| FieldError::new("CapAdd", problem))?;
    }
    if let Some(device) = devices.iter().find(|device| !device.host.starts_with("/dev/")) {
        let problem = format!("expected a device, /dev/NAME, found {:?}", shown(&device.host));
        return Err(FieldError::new("Devices", problem));
    }
    let mut places = BTreeSet::new();
    match devices.iter().find(|device| !places.insert(&device.inside)) {
        None => Ok(()),
        Some(twice) => Err(FieldError::new("Devices", format!("expected {} to be one device", twice.inside))),
    }
}

fn check_label(key: &str, value: &str) -> Result<(), String> {
    if key.is_empty() || key.contains(|c| is_unprintable(c) || c == '=') {
        return Err(format!("expected a printable key, found {:?}", shown(key)));
    }
    if value.contains(is_unprintable) {
        return Err(unprintable(value));
    }
    if key.starts_with(OWN_LABELS) {
        return Err(format!(
            "{key} is reserved: labels that start with {OWN_LABELS} say whose a container is"
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::{HealthCheck, NetworkMode, Privileges, Probe, TaskSpec};

    fn good() -> TaskSpec {
        TaskSpec { name: "web".into(), image: "alpine".into(), ..TaskSpec::default() }
    }

    #[track_caller]
    fn refused(field: &str, change: impl FnOnce(&mut TaskSpec)) {
        let mut spec = good();
        change(&mut spec);
        let error = spec.check().expect_err("refused");
        assert_eq!(error.field, field, "{error}");
    }

    #[track_caller]
    fn accepted(change: impl FnOnce(&mut TaskSpec)) {
        let mut spec = good();
        change(&mut spec);
        assert_eq!(spec.check(), Ok(()));
    }

    #[test]
    fn a_plain_task_is_fine() {
        accepted(|_| {});
        accepted(|spec| spec.name.clear());
        accepted(|spec| spec.name = "größe 😀 <a>&".into());
    }

    #[test]
    fn names_that_would_trick_a_terminal_are_refused() {
        for name in ["a\x1b[31m", "a\nb", "a\u{202e}b", "a\u{200f}", "\u{9b}1m", "a\u{2028}", "\u{feff}a"] {
            refused("Name", |spec| spec.name = name.into());
            refused("Labels", |spec| drop(spec.labels.insert("k".into(), name.into())));
        }
        refused("Name", |spec| spec.name = "x".repeat(129));
        accepted(|spec| spec.name = "ü".repeat(128));
    }

    #[test]
    fn images_are_references() {
        for image in [
            "alpine",
            "alpine:3.20",
            "127.0.0.1:5000/httpd",
            "registry.example:5000/team/app_x:v1.2-rc1",
            "x@sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef",
            "localhost/cube-demo:latest",
        ] {
            accepted(|spec| spec.image = image.into());
        }
        for image in
            ["", "a b", "-v", "/etc", "a//b", "a:", ":a", "a/", "../a", "a\x1b", "https://x/y", "a;b"]
        {
            refused("Image", |spec| spec.image = image.into());
        }
    }

    #[test]
    fn numbers_have_bounds() {
        for cpu in [-1.0, f64::NAN, f64::INFINITY, 1e9, 1e-9, -0.1] {
            refused("Cpu", |spec| spec.cpu = cpu);
        }
        accepted(|spec| spec.cpu = 0.5);
        refused("Memory", |spec| spec.memory_bytes = u64::MAX);
        refused("Disk", |spec| spec.disk_bytes = u64::MAX);
        refused("Memory", |spec| spec.memory_bytes = 64);
        refused("Memory", |spec| spec.memory_bytes = (6 << 20) - 1);
        accepted(|spec| spec.memory_bytes = 6 << 20);
        accepted(|spec| spec.disk_bytes = 1);
        refused("StopTimeout", |spec| spec.stop_timeout_s = Some(u32::MAX));
    }

    #[test]
    fn ports_have_a_number_and_a_protocol() {
        for port in ["80/tcp", "53/udp", "65535/tcp"] {
            accepted(|spec| spec.exposed_ports = Some(vec![port.into()]));
        }
        for port in ["80", "0/tcp", "65536/tcp", "80/xyz", "http/tcp", "+80/tcp", "80/tcp/udp", "", "/tcp"] {
            refused("ExposedPorts", |spec| spec.exposed_ports = Some(vec![port.into()]));
            refused("PortBindings", |spec| spec.port_bindings = Some([(port.into(), "1".into())].into()));
        }
        for host in ["", "0", "8080", "65535"] {
            accepted(|spec| spec.port_bindings = Some([("80/tcp".into(), host.into())].into()));
        }
        for host in ["65536", "-1", "+1", "http", "0.0.0.0:80", "8080-8090", " 80"] {
            refused("PortBindings", |spec| {
                spec.port_bindings = Some([("80/tcp".into(), host.into())].into());
            });
        }
    }

    #[test]
    fn env_is_key_and_value() {
        accepted(|spec| spec.env = vec!["A=1".into(), "B=".into(), "C=x=y".into(), "PEM=a\nb".into()]);
        for env in ["A", "=1", "A\n=1", "A=\x1b[2J", "A=\u{202e}"] {
            refused("Env", |spec| spec.env = vec![env.into()]);
        }
        let spec = TaskSpec { env: vec!["TOKEN=hunter2\x07".into()], ..good() };
        let error = spec.check().unwrap_err().to_string();
        assert!(error.contains("TOKEN") && !error.contains("hunter2"), "{error}");
    }

    #[test]
    fn mounts_and_privileges_are_looked_at() {
        accepted(|spec| spec.mounts = vec!["data:/d".into(), "/srv/x:/x:ro".into()]);
        refused("Mounts", |spec| spec.mounts = vec!["./x:/x".into()]);
        let devices = |texts: &[&str]| {
            let devices = texts.iter().map(|text| text.parse().unwrap()).collect();
            Privileges { devices, ..Privileges::default() }.boxed()
        };
        accepted(|spec| spec.privileges = devices(&["/dev/a", "/dev/b"]));
        refused("Devices", |spec| spec.privileges = devices(&["/dev/a", "/dev/b:/dev/a"]));
        refused("Devices", |spec| spec.privileges = devices(&["/etc:/dev/a"]));
        accepted(|spec| spec.privileges = devices(&["/dev/a:/srv/a"]));
        let adds = |name: &str| Privileges { cap_add: vec![name.parse().unwrap()], ..Privileges::default() };
        accepted(|spec| spec.privileges = adds("cap_sys_admin").boxed());
        refused("CapAdd", |spec| spec.privileges = adds("NET_ADMINN").boxed());
        refused("CapAdd", |spec| {
            let cap_add = vec!["NET_ADMIN".parse().unwrap(); 65];
            spec.privileges = Privileges { cap_add, ..Privileges::default() }.boxed();
        });
    }

    #[test]
    fn a_secret_has_a_place_of_its_own() {
        let secrets = |uses: &[&str]| uses.iter().map(|used| used.parse().unwrap()).collect();
        accepted(|spec| spec.secrets = secrets(&["A", "A:env", "B:env:C", "B:/b"]));
        for uses in [&["A", "A"][..], &["A:env", "B:env:A"], &["A:env:E"], &["A:/"], &["A:env:1"]] {
            refused("Secrets", |spec| {
                spec.env = vec!["E=1".into()];
                spec.secrets = secrets(uses);
            });
        }
        refused("Secrets", |spec| {
            spec.secrets = (0..33).map(|n| format!("S{n}").parse().unwrap()).collect();
        });
    }

    #[test]
    fn health_checks_can_be_carried_out() {
        fn check(probe: &str) -> HealthCheck {
            HealthCheck::new(probe.parse().unwrap())
        }
        fn exposed(ports: &[&str]) -> Vec<String> {
            ports.iter().map(|port| (*port).to_owned()).collect()
        }
        for (probe, ports, is_fine) in [
            ("/health", &["80/tcp"][..], true),
            ("/health", &[], true),
            ("http:80/", &["80/tcp", "81/tcp"], true),
            ("http:82/", &["80/tcp", "81/tcp"], false),
            ("tcp:53", &["53/udp", "80/tcp"], false),
            ("tcp:53", &[], true),
        ] {
            let change = |spec: &mut TaskSpec| {
                spec.health_check = Some(check(probe));
                spec.exposed_ports = Some(exposed(ports));
            };
            if is_fine { accepted(change) } else { refused("HealthCheck", change) }
        }
        accepted(|spec| {
            spec.health_check = Some(check("tcp:81"));
            spec.port_bindings = Some([("81/tcp".into(), "0".into())].into());
        });
        accepted(|spec| {
            spec.health_check = Some(check("tcp:82"));
            spec.exposed_ports = Some(exposed(&["80/tcp"]));
            spec.network_mode = NetworkMode::Host;
        });
        refused("HealthCheck", |spec| {
            spec.health_check = Some(check("/"));
            spec.network_mode = NetworkMode::None;
        });
        let command = |words: &[&str]| {
            Some(HealthCheck::new(Probe::Command(words.iter().map(|word| (*word).to_owned()).collect())))
        };
        accepted(|spec| {
            spec.health_check = command(&["true"]);
            spec.network_mode = NetworkMode::None;
        });
        for words in [&[""][..], &["a", "\0"], &[]] {
            refused("HealthCmd", |spec| spec.health_check = command(words));
        }
        let paced = |change: fn(&mut HealthCheck)| {
            move |spec: &mut TaskSpec| {
                spec.health_check = Some(check("/"));
                change(spec.health_check.as_mut().unwrap());
            }
        };
        accepted(paced(|check| check.start_period_s = 0));
        refused("HealthStartPeriod", paced(|check| check.start_period_s = u32::MAX));
        refused("HealthInterval", paced(|check| check.interval_s = 0));
        refused("HealthTimeout", paced(|check| check.timeout_s = 0));
        refused("HealthRetries", paced(|check| check.retries = 0));
    }

    #[test]
    fn what_nobody_would_keep_is_refused() {
        refused("Constraints", |spec| spec.constraints = vec!["ssd".parse().unwrap(); 65]);
        for impossible in [&["zone=a", "zone=b"][..], &["engine>=-1"], &["os>=3"]] {
            refused("Constraints", |spec| {
                spec.constraints = impossible.iter().map(|text| text.parse().unwrap()).collect();
            });
        }
        refused("Priority", |spec| spec.priority = 1001);
        refused("Labels", |spec| drop(spec.labels.insert("cube.task".into(), "x".into())));
        refused("Cmd", |spec| spec.cmd = vec!["a\0".into()]);
    }
}
