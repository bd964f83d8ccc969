//! SubmitForm: the fields of a new task and what they parse to. Knows no screen and sends nothing.

use std::collections::BTreeMap;

use tui_input::{Input, InputRequest};

use crate::cluster::Revision;
use crate::manager::plan::Plan;
use crate::scheduler::Shape;
use crate::task::{HealthCheck, Probe, RestartPolicy, TaskId, TaskSpec};

use super::fields::{
    name_from, read_cpu, read_env, read_memory, read_ports, read_secrets, read_yes, split_words,
};

/// A field of the form.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Field {
    Image,
    Name,
    Command,
    Env,
    Ports,
    Cpu,
    Memory,
    Restart,
    Health,
    HealthCmd,
    Secrets,
    Exclusive,
    /// A task file instead of all of the above.
    File,
}

impl Field {
    pub(super) const ALL: [Self; 13] = [
        Self::Image,
        Self::Name,
        Self::Command,
        Self::Env,
        Self::Ports,
        Self::Cpu,
        Self::Memory,
        Self::Restart,
        Self::Health,
        Self::HealthCmd,
        Self::Secrets,
        Self::Exclusive,
        Self::File,
    ];

    pub(super) fn label(self) -> &'static str {
        match self {
            Self::Image => "image",
            Self::Name => "name",
            Self::Command => "command",
            Self::Env => "env",
            Self::Ports => "ports",
            Self::Cpu => "cpu",
            Self::Memory => "memory",
            Self::Restart => "restart",
            Self::Health => "health",
            Self::HealthCmd => "health cmd",
            Self::Secrets => "secrets",
            Self::Exclusive => "exclusive",
            Self::File => "or a file",
        }
    }

    /// What an empty field means or looks like.
    pub(super) fn hint(self) -> &'static str {
        match self {
            Self::Image => "nginx:1.27",
            Self::Name => "after the image",
            Self::Command => "the image's own; quotes as in a shell",
            Self::Env => "A=1 B='two words'",
            Self::Ports => "8080:80 9000:90/udp, or 80 for a free one",
            Self::Cpu => "no limit; 1.5 is one and a half",
            Self::Memory => "no limit; 512M, 2G",
            Self::Restart => "no | on-failure[:N] | always | unless-stopped",
            Self::Health => "no check; /path | http:8080/path | tcp:5432 | tcp",
            Self::HealthCmd => "or a program in the container; exit code 0 is healthy",
            Self::Secrets => "DB_PASSWORD; NAME:/path, NAME:env, NAME:env:VARIABLE",
            Self::Exclusive => "no | yes: never runs twice, not even for a moment",
            Self::File => "path of a task file (JSON)",
        }
    }

    fn index(self) -> usize {
        Self::ALL.iter().position(|field| *field == self).unwrap_or(0)
    }
}

const FILE_OR_FIELDS: &str = "either a file or the fields above: clear one of them";

/// What a form asks for.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Wish {
    Task(Box<TaskSpec>),
    File(String),
}

/// What of a wish a preview depends on.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Question {
    Task(Option<Shape>),
    File(String),
}

impl Wish {
    pub(super) fn question(&self) -> Question {
        match self {
            Self::Task(spec) => Question::Task(Shape::of(spec)),
            Self::File(path) => Question::File(path.clone()),
        }
    }
}

/// Where it would go what is being typed, as the manager says.
#[derive(Clone, Debug, Default)]
pub(super) struct Preview {
    /// The last answer, if it is one to what is typed now; or why there is none.
    pub(super) answer: Option<Result<Plan, String>>,
    pub(super) is_asking: bool,
    /// What was asked last, and the mirror's revision then.
    pub(super) asked: Option<Question>,
    pub(super) asked_at: Revision,
}

impl Preview {
    /// Nothing that could be asked is typed now. An answer may be on its way all the same.
    pub(super) fn forget(&mut self) {
        *self = Self { is_asking: self.is_asking, ..Self::default() };
    }
}

/// The form, with what was typed so far.
#[derive(Clone, Debug)]
pub(super) struct SubmitForm {
    inputs: [Input; 13],
    errors: [Option<String>; 13],
    focus: usize,
    /// What is wrong with the whole, as the manager said it.
    pub(super) problem: Option<String>,
    /// On its way; keys wait for the answer.
    pub(super) is_sending: bool,
    /// Where it would go.
    pub(super) preview: Preview,
    /// What was sent last: the same again is the same task, so that a lost answer starts nothing twice.
    sent: Option<(TaskSpec, TaskId)>,
}

impl SubmitForm {
    pub(super) fn new() -> Self {
        Self {
            inputs: Default::default(),
            errors: Default::default(),
            focus: 0,
            problem: None,
            is_sending: false,
            preview: Preview::default(),
            sent: None,
        }
    }

    pub(super) fn focus(&self) -> Field {
        Field::ALL[self.focus]
    }

    pub(super) fn focus_on(&mut self, field: Field) {
        self.focus = field.index();
    }

    pub(super) fn next(&mut self) {
        self.focus = (self.focus + 1) % Field::ALL.len();
    }

    pub(super) fn previous(&mut self) {
        self.focus = (self.focus + Field::ALL.len() - 1) % Field::ALL.len();
    }

    pub(super) fn input(&self, field: Field) -> &Input {
        &self.inputs[field.index()]
    }

    /// The field that is typed into; its old error no longer counts.
    pub(super) fn focused_input(&mut self) -> &mut Input {
        self.errors[self.focus] = None;
        self.problem = None;
        &mut self.inputs[self.focus]
    }

    pub(super) fn error(&self, field: Field) -> Option<&str> {
        self.errors[field.index()].as_deref()
    }

    pub(super) fn set_error(&mut self, field: Field, error: impl Into<String>) {
        self.errors[field.index()] = Some(error.into());
        self.focus_on(field);
    }

    /// Whether nothing was typed.
    pub(super) fn is_empty(&self) -> bool {
        self.inputs.iter().all(|input| input.value().is_empty())
    }

    /// The id for this spec: the one it was sent with before, or a new one.
    pub(super) fn task_id(&mut self, spec: &TaskSpec) -> TaskId {
        match &self.sent {
            Some((sent, id)) if sent == spec => *id,
            _ => {
                let id = TaskId::random();
                self.sent = Some((spec.clone(), id));
                id
            }
        }
    }

    fn text(&self, field: Field) -> &str {
        self.input(field).value().trim()
    }

    fn has_file_and_fields(&self) -> bool {
        !self.text(Field::File).is_empty()
            && Field::ALL.iter().any(|field| *field != Field::File && !self.text(*field).is_empty())
    }

    /// What the fields say so far, or the first of those with something in it that is wrong, and what; neither as long
    /// as something is missing.
    pub(super) fn draft(&self) -> Result<Wish, Option<(Field, String)>> {
        if self.has_file_and_fields() {
            return Err(Some((Field::File, FILE_OR_FIELDS.to_owned())));
        }
        let file = self.text(Field::File);
        if !file.is_empty() {
            return Ok(Wish::File(file.to_owned()));
        }
        let (spec, errors) = self.read_spec();
        if errors.is_empty() {
            return Ok(Wish::Task(Box::new(spec)));
        }
        Err(errors.into_iter().find(|(field, _)| !self.text(*field).is_empty()))
    }

    /// Whether the last question of the preview is one about what is typed now.
    pub(super) fn was_asked(&self) -> bool {
        self.draft().is_ok_and(|wish| self.preview.asked == Some(wish.question()))
    }

    /// Reads the fields. What is wrong is said at its field, and the first such field has the keys then.
    pub(super) fn read(&mut self) -> Option<Wish> {
        self.errors = Default::default();
        self.problem = None;
        if self.has_file_and_fields() {
            self.set_error(Field::File, FILE_OR_FIELDS);
            return None;
        }
        let file = self.text(Field::File);
        if !file.is_empty() {
            return Some(Wish::File(file.to_owned()));
        }
        let (spec, errors) = self.read_spec();
        let first = errors.first().map(|(field, _)| *field);
        for (field, error) in errors {
            self.set_error(field, error);
        }
        match first {
            None => Some(Wish::Task(Box::new(spec))),
            Some(field) => {
                self.focus_on(field);
                None
            }
        }
    }

    /// What the fields say, and what is wrong with them.
    fn read_spec(&self) -> (TaskSpec, Vec<(Field, String)>) {
        let mut errors = Vec::new();
        let text = |field: Field| self.text(field);
        let mut at = |field: Field, error: String| errors.push((field, error));
        let image = text(Field::Image);
        if image.is_empty() {
            at(Field::Image, "needed: what to run, like nginx:1.27".to_owned());
        } else if image.contains(char::is_whitespace) {
            at(Field::Image, "an image has no spaces; arguments go to command".to_owned());
        }
        let name = match text(Field::Name) {
            "" => name_from(image),
            name => name.to_owned(),
        };
        let mut ok = |field: Field, error: String| at(field, error);
        let cmd = split_words(text(Field::Command)).unwrap_or_else(|error| {
            ok(Field::Command, error);
            Vec::new()
        });
        let env = read_env(text(Field::Env)).unwrap_or_else(|error| {
            ok(Field::Env, error);
            Vec::new()
        });
        let ports = read_ports(text(Field::Ports)).unwrap_or_else(|error| {
            ok(Field::Ports, error);
            BTreeMap::new()
        });
        let cpu = read_cpu(text(Field::Cpu)).unwrap_or_else(|error| {
            ok(Field::Cpu, error);
            0.0
        });
        let memory_bytes = read_memory(text(Field::Memory)).unwrap_or_else(|error| {
            ok(Field::Memory, error);
            0
        });
        let restart_policy = text(Field::Restart).parse().unwrap_or_else(|error| {
            ok(Field::Restart, error);
            RestartPolicy::No
        });
        let health_cmd = split_words(text(Field::HealthCmd)).unwrap_or_else(|error| {
            ok(Field::HealthCmd, error);
            Vec::new()
        });
        let health_check = match (text(Field::Health), health_cmd.is_empty()) {
            ("", true) => None,
            ("", false) => Some(HealthCheck::new(Probe::Command(health_cmd))),
            (_, false) => {
                ok(Field::HealthCmd, "either health or a program: clear one of them".to_owned());
                None
            }
            (probe, true) => {
                probe.parse().map(HealthCheck::new).map_err(|error| ok(Field::Health, error)).ok()
            }
        };
        let secrets = read_secrets(text(Field::Secrets)).unwrap_or_else(|error| {
            ok(Field::Secrets, error);
            Vec::new()
        });
        let exclusive = read_yes(text(Field::Exclusive)).unwrap_or_else(|error| {
            ok(Field::Exclusive, error);
            false
        });
        let spec = TaskSpec {
            name,
            image: image.to_owned(),
            cmd,
            env,
            cpu,
            memory_bytes,
            exposed_ports: (!ports.is_empty()).then(|| ports.keys().cloned().collect()),
            port_bindings: (!ports.is_empty()).then_some(ports),
            restart_policy,
            health_check,
            secrets,
            exclusive,
            ..TaskSpec::default()
        };
        if errors.is_empty()
            && let Err(error) = spec.check()
        {
            errors.push((field_of(&error.field), error.problem));
        }
        (spec, errors)
    }
}

/// The field of the form behind a field of a task file.
fn field_of(name: &str) -> Field {
    match name {
        "Name" => Field::Name,
        "Cmd" | "Entrypoint" => Field::Command,
        "Env" => Field::Env,
        "ExposedPorts" | "PortBindings" => Field::Ports,
        "Cpu" => Field::Cpu,
        "Memory" => Field::Memory,
        "RestartPolicy" => Field::Restart,
        "HealthCheck" => Field::Health,
        "HealthCmd" => Field::HealthCmd,
        "Secrets" => Field::Secrets,
        "Exclusive" => Field::Exclusive,
        _ => Field::Image,
    }
}

/// Types text into a field; line breaks become spaces, other control characters are dropped.
pub(super) fn paste(input: &mut Input, text: &str) {
    /// More than anyone types into one field; a mistaken paste of a log must not hang the screen.
    const LIMIT: usize = 16 * 1024;
    let mut value = input.value().to_owned();
    let at = value.char_indices().nth(input.cursor()).map_or(value.len(), |(at, _)| at);
    let safe = text.chars().take(LIMIT).map(|char| if char.is_whitespace() { ' ' } else { char });
    let safe: String = safe.filter(|char| !char.is_control()).collect();
    let cursor = input.cursor() + safe.chars().count();
    value.insert_str(at, &safe);
    *input = Input::new(value);
    input.handle(InputRequest::SetCursor(cursor));
}

#[cfg(test)]
mod tests {
    use super::{Field, SubmitForm, Wish, paste};
    use crate::task::{Probe, RestartPolicy};

    fn filled(fields: &[(Field, &str)]) -> SubmitForm {
        let mut form = SubmitForm::new();
        for (field, text) in fields {
            form.focus_on(*field);
            paste(form.focused_input(), text);
        }
        form
    }

    #[test]
    fn the_fields_become_a_spec() {
        let mut form = filled(&[
            (Field::Image, "shop/web:1.9"),
            (Field::Command, "sh -c 'echo \"hi there\"'"),
            (Field::Env, "A=1 B='two words'"),
            (Field::Ports, "8080:80, 53/udp"),
            (Field::Cpu, "1.5"),
            (Field::Memory, "1.5G"),
            (Field::Restart, "on-failure:3"),
            (Field::Health, "http:80/up"),
            (Field::Secrets, "DB_PASSWORD, TOKEN:env:API_TOKEN"),
            (Field::Exclusive, "yes"),
        ]);
        let Some(Wish::Task(spec)) = form.read() else { panic!("{form:?}") };
        assert_eq!(spec.name, "web");
        assert_eq!(spec.image, "shop/web:1.9");
        assert_eq!(spec.cmd, ["sh", "-c", "echo \"hi there\""]);
        assert_eq!(spec.env, ["A=1", "B=two words"]);
        assert_eq!(spec.exposed_ports, Some(vec!["53/udp".to_owned(), "80/tcp".to_owned()]));
        let bindings = spec.port_bindings.unwrap();
        assert_eq!(bindings["80/tcp"], "8080");
        assert_eq!(bindings["53/udp"], "");
        assert!((spec.cpu - 1.5).abs() < f64::EPSILON);
        assert_eq!(spec.memory_bytes, 3 << 29);
        assert_eq!(spec.restart_policy, RestartPolicy::OnFailure(Some(3)));
        assert_eq!(spec.health_check.map(|check| check.probe.wire()).as_deref(), Some("http:80/up"));
        let secrets: Vec<_> = spec.secrets.iter().map(ToString::to_string).collect();
        assert_eq!(secrets, ["DB_PASSWORD", "TOKEN:env:API_TOKEN"]);
        assert!(spec.exclusive);
    }

    #[test]
    fn a_task_is_healthy_by_a_port_or_by_a_program_of_its_own() {
        let with = |health: &str| {
            let fields = [(Field::Image, "x"), (Field::HealthCmd, "ask 'a b'"), (Field::Health, health)];
            let mut form = filled(&fields);
            (form.read(), form.error(Field::HealthCmd).is_some())
        };
        let (Some(Wish::Task(spec)), false) = with("") else { panic!("not read") };
        let words = vec!["ask".to_owned(), "a b".to_owned()];
        assert_eq!(spec.health_check.map(|check| check.probe), Some(Probe::Command(words)));
        assert_eq!(with("tcp"), (None, true));
        let form = filled(&[(Field::Image, "x"), (Field::Exclusive, "no")]);
        let Ok(Wish::Task(spec)) = form.draft() else { panic!("not read") };
        assert!(!spec.exclusive);
    }

    #[test]
    fn what_is_wrong_is_said_at_its_field_and_the_first_has_the_keys() {
        let mut form = filled(&[
            (Field::Command, "'open"),
            (Field::Env, "=x"),
            (Field::Ports, "80:x"),
            (Field::Cpu, "-1"),
            (Field::Memory, "lots"),
            (Field::Restart, "sometimes"),
            (Field::Health, "often"),
            (Field::HealthCmd, "'open"),
            (Field::Secrets, "A:b"),
            (Field::Exclusive, "maybe"),
        ]);
        assert_eq!(form.read(), None);
        for field in Field::ALL {
            let is_fine = matches!(field, Field::Name | Field::File);
            assert_eq!(form.error(field).is_none(), is_fine, "{field:?}");
        }
        assert_eq!(form.focus(), Field::Image);
        assert_eq!(form.input(Field::Memory).value(), "lots");
    }

    #[test]
    fn a_file_stands_alone() {
        assert_eq!(filled(&[(Field::File, " a.json ")]).read(), Some(Wish::File("a.json".into())));
        let mut both = filled(&[(Field::File, "a.json"), (Field::Image, "x")]);
        assert_eq!(both.read(), None);
        assert!(both.error(Field::File).is_some());
    }

    #[test]
    fn the_same_again_is_the_same_task() {
        let mut form = filled(&[(Field::Image, "x")]);
        let Some(Wish::Task(spec)) = form.read() else { panic!() };
        let id = form.task_id(&spec);
        assert_eq!(form.task_id(&spec), id);
        let other = crate::task::TaskSpec { name: "other".into(), ..*spec };
        assert_ne!(form.task_id(&other), id);
    }

    #[test]
    fn a_paste_goes_in_at_the_cursor_as_one_line() {
        let mut input = tui_input::Input::new("ab".into());
        input.handle(tui_input::InputRequest::GoToPrevChar);
        paste(&mut input, "1\n2\x1b3");
        assert_eq!(input.value(), "a1 23b");
        assert_eq!(input.cursor(), 5);
    }
}
