//! The arguments of `secret`.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::OutputArgs;
use crate::task::SecretName;

#[derive(Debug, Subcommand)]
pub enum SecretCommand {
    /// Set a secret to what comes on stdin (one line end at its end does not count), or is typed
    Set(SetArgs),
    /// List the secrets, without their values
    List(OutputArgs),
    /// Forget a secret
    Remove(RemoveArgs),
}

#[derive(Args, Debug)]
pub struct SetArgs {
    pub name: SecretName,
    /// Read the value from this file, byte for byte
    #[arg(long, value_name = "FILE")]
    pub file: Option<PathBuf>,
    #[command(flatten)]
    pub output: OutputArgs,
}

#[derive(Args, Debug)]
pub struct RemoveArgs {
    pub name: SecretName,
    /// Also if tasks name it that have not ended
    #[arg(long)]
    pub force: bool,
    #[command(flatten)]
    pub output: OutputArgs,
}
