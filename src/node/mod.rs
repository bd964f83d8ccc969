//! One process's share of a cluster: the data folder, the listeners, the embedded manager and the local worker,
//! started and stopped in order. Knows no command line and no screen.

mod folder;
mod listen;
mod member;
mod mend;
mod start;

pub use folder::{Claim, Folder, Holder};
pub use listen::{Address, ListenError, listen, listen_anywhere};
pub use member::{Keeper, MemberError, Membership};
pub use mend::{Mended, mend};
pub use start::{Begun, Config, Engine, LocalWorker, Node, StartError, start};
