//! The recorded traffic of tests/wire, read; and where our answers differ from it on purpose.

#![allow(dead_code, clippy::allow_attributes, reason = "each test binary uses its part of this")]

use std::{fs, path::Path};

use jiff::Timestamp;
use serde_json::{Value, json};

/// One recorded exchange.
pub struct Recording {
    /// The first line.
    pub request: String,
    /// All of it, as it went over the wire.
    pub raw_request: String,
    pub request_body: String,
    pub status: u16,
    pub response_body: String,
}

pub fn recording(name: &str) -> Recording {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/wire").join(name);
    let text = fs::read_to_string(&path).unwrap().replace("\r\n", "\n");
    let (request, response) = text.split_once("----- response -----\n").unwrap();
    let (request_head, request_body) = request.split_once("\n\n").unwrap();
    let (response_head, response_body) = response.split_once("\n\n").unwrap_or((response, ""));
    let request_body = request_body.trim_end();
    // The files end the body with lines of their own; a length that counts one more is a body with a newline.
    let length = request_head.lines().find_map(|line| line.strip_prefix("Content-Length: "));
    let length: usize = length.map_or(0, |length| length.parse().unwrap());
    let newlines = "\n".repeat(length.saturating_sub(request_body.len()));
    Recording {
        request: request_head.lines().next().unwrap().to_owned(),
        raw_request: format!("{}\r\n\r\n{request_body}{newlines}", request_head.replace('\n', "\r\n")),
        request_body: request_body.to_owned(),
        status: response_head.split(' ').nth(1).unwrap().parse().unwrap(),
        response_body: response_body.to_owned(),
    }
}

pub fn recordings() -> Vec<String> {
    let dir = fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/wire")).unwrap();
    let mut names: Vec<_> = dir.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    assert!(names.len() >= 26, "{names:?}");
    names
}

/// Where our answers differ from the recorded ones on purpose: ports without bindings are left out, no ports
/// is null, times are printed as Z, chapters 5 to 8 have fewer fields.
pub fn as_ours(mut task: Value) -> Value {
    let fields = task.as_object_mut().unwrap();
    for (name, unset) in [("HostPorts", json!(null)), ("HealthCheck", json!("")), ("RestartCount", json!(0))]
    {
        fields.entry(name).or_insert(unset);
    }
    if let Some(ports) = fields["HostPorts"].as_object_mut() {
        ports.retain(|_, bindings| bindings.as_array().is_some_and(|bindings| !bindings.is_empty()));
        if ports.is_empty() {
            fields["HostPorts"] = Value::Null;
        }
    }
    for name in ["StartTime", "FinishTime"] {
        let time: Timestamp = fields[name].as_str().unwrap().parse().unwrap();
        fields[name] = time.to_string().into();
    }
    task
}
