//! Where output goes: results to stdout as text or JSON, remarks to stderr. Knows no manager.

use std::io::{self, Write};

use jiff::tz::TimeZone;

use super::args::Output;
use super::exit::CliError;
use super::line::Line;
use super::text::{escaped, printable};

/// Prints one command's output.
pub struct Printer {
    output: Output,
    results: Box<dyn Write + Send>,
    remarks: Box<dyn Write + Send>,
    zone: TimeZone,
}

impl std::fmt::Debug for Printer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Printer").field("output", &self.output).finish_non_exhaustive()
    }
}

impl Printer {
    /// To this process's stdout and stderr, in the local time zone.
    pub fn new(output: Output) -> Self {
        Self {
            output,
            results: Box::new(io::stdout()),
            remarks: Box::new(io::stderr()),
            zone: TimeZone::system(),
        }
    }

    /// For a command whose stdout is somebody else's: there, lines for people go to stderr.
    pub fn beside_output(output: Output) -> Self {
        let printer = Self::new(output);
        match output {
            Output::Text => Self { results: Box::new(io::stderr()), ..printer },
            Output::Json => printer,
        }
    }

    /// For what is printed some other way.
    pub fn silent() -> Self {
        Self {
            output: Output::Text,
            results: Box::new(io::sink()),
            remarks: Box::new(io::stderr()),
            zone: TimeZone::UTC,
        }
    }

    #[cfg(test)]
    pub fn to(
        output: Output,
        results: impl Write + Send + 'static,
        remarks: impl Write + Send + 'static,
    ) -> Self {
        Self { output, results: Box::new(results), remarks: Box::new(remarks), zone: TimeZone::UTC }
    }

    pub fn is_json(&self) -> bool {
        self.output == Output::Json
    }

    /// One thing that happened or stands so. Each line is flushed: somebody may be waiting for it.
    pub fn line(&mut self, line: &Line<'_>) -> Result<(), CliError> {
        let text = match self.output {
            Output::Text => line.text(&self.zone),
            Output::Json => line.json(),
        };
        self.result(&text)
    }

    /// A result in text of its own.
    pub fn result(&mut self, text: &str) -> Result<(), CliError> {
        writeln!(self.results, "{text}")?;
        self.results.flush()?;
        Ok(())
    }

    /// A value as a line of JSON.
    pub fn json(&mut self, value: &impl serde::Serialize) -> Result<(), CliError> {
        // Plain values: there is nothing in them that JSON could not say.
        let text = serde_json::to_string(value).unwrap_or_default();
        self.result(&escaped(&text))
    }

    /// Why a command failed; nothing if there is nothing to say.
    pub fn failure(&mut self, error: &CliError) {
        if !error.message.is_empty() {
            self.remark(&error.message);
        }
    }

    /// Something to know beside the results. That it could not be said is no reason to end.
    pub fn remark(&mut self, text: &str) {
        let _ = writeln!(self.remarks, "cube-tui: {}", printable(text));
    }
}
