//! (being written)
use std::io::Write;
pub(super) fn write(_: &haechi_core::verdict::ImageReport, _: haechi_core::Lang, _: &crate::Options, _: &mut dyn Write) -> Result<(), crate::RenderError> { Ok(()) }
