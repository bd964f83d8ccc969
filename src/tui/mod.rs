//! The dashboard: a mirror of the cluster, drawn. `update(&mut Model, Event) -> Vec<Action>` decides,
//! `draw(&Model, …)` shows, the runner does the rest. Nothing here knows where the manager runs.
//!
//! One turn: the runner waits for the terminal, the feed, an answer or the time; drains all that waits
//! into `update`; carries the Actions out; and draws at most one frame, of which the terminal gets the
//! difference. Lists are windowed: a frame costs what is on the screen, whatever the size of the cluster.

mod actions;
mod attach;
mod chord;
mod clean;
mod errands;
mod event;
#[cfg(test)]
mod faces;
mod feed;
mod fields;
mod filter;
#[cfg(test)]
mod fixture;
mod format;
mod keymap;
mod layout;
mod loads;
mod logs;
mod model;
mod overlays;
mod panes;
mod picture;
mod presets;
mod remap;
mod row;
mod runner;
mod screen;
mod sgr;
mod shown_set;
mod submit_form;
mod task_list;
mod terminal;
#[cfg(test)]
mod tests;
mod theme;
mod told;
mod update;
mod view;

pub use actions::Remap;
pub use attach::{Ended, attach, terminal_size};
pub use event::{Action, Event};
pub use format::bytes;
pub use keymap::Keymap;
pub use model::{Model, OwnManager, Title};
pub use picture::{Format, Size, render_once};
pub use remap::Clash;
pub use runner::{Opened, Options, Outcome, run};
pub use screen::Screen;
pub use sgr::keep_colours;
pub use theme::Theme;
pub use update::update;
pub use view::draw;
