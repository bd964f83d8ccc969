//! The binary: what the arguments ask for, as an exit code.

fn main() -> std::process::ExitCode {
    cube_tui::cli::run()
}
