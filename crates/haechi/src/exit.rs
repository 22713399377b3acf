//! Exit codes: a public promise, documented in the README and tested.

/// Nothing at or above `--fail-on` failed or was left undecided.
pub const CLEAN: u8 = 0;
/// Something at or above `--fail-on` failed.
pub const FINDINGS: u8 = 1;
/// Could not verify: the engine could not be asked, something at or above `--fail-on` could not be decided and nothing
/// failed, the input was not usable, or the arguments were wrong.
pub const COULD_NOT_VERIFY: u8 = 2;
