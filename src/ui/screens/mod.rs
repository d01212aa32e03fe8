//! What the operator reads when something has ended.

mod dry_run;
mod findings;
mod lists;
mod migration;

pub use dry_run::{changes, dry_run, reverted};
pub use lists::{Conversion, StatusLine, converted, copied, fixup, fixups, inventory, settings, status};
pub use migration::{batch, compared, finished, migration, rolled_back, verified};

use findings::findings;
