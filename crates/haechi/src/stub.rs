//! (temporary)
pub mod image {
    use haechi_core::verdict::{ImageReport, Reason};
    #[derive(PartialEq, Clone, Copy)]
    pub enum ImageFormat { Table, Json, Html, Sarif, Csv, Markdown }
    pub fn render(report: &ImageReport, _: ImageFormat, _: haechi_core::Lang, _: &haechi_report::Options, out: &mut dyn std::io::Write) -> anyhow::Result<()> {
        serde_json::to_writer_pretty(&mut *out, report)?; Ok(())
    }
    pub fn list(_: &[ImageReport], _: haechi_core::Lang, _: &haechi_report::Options, _: &mut dyn std::io::Write) -> anyhow::Result<()> { Ok(()) }
    pub fn list_json(_: &[ImageReport], _: &mut dyn std::io::Write) -> anyhow::Result<()> { Ok(()) }
    pub fn reason(r: &Reason) -> String { format!("{r:?}") }
}
pub mod sbom {
    use haechi_core::inventory::Scan;
    pub fn cyclonedx(_: &Scan, _: Option<&haechi_core::vulnerability::Assessment>, _: jiff::Timestamp) -> serde_json::Value { serde_json::Value::Null }
    pub fn spdx(_: &Scan, _: jiff::Timestamp) -> serde_json::Value { serde_json::Value::Null }
    pub fn read(_: &[u8]) -> Result<Scan, std::fmt::Error> { Err(std::fmt::Error) }
}
