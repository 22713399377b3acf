//! Takes an image apart without running it, wherever it is: engine, archive, OCI layout, registry, root file system.
//!
//! The parent ([`open`]) pumps bytes into a sandboxed worker ([`worker`]), which reads each layer once
//! ([`tarball`], [`builder`]) with readers of packages ([`packages`]) and looks for other dangers ([`dangers`]). Layers
//! are put together ([`merge`]) into a [`Scan`]. It never runs an image, never writes its files to disk, never trusts
//! a size, and knows nothing of vulnerabilities or engines.
//!
//! [`Scan`]: haechi_core::inventory::Scan

pub mod archive;
pub mod assemble;
pub mod blobs;
pub mod builder;
pub mod cache;
pub mod config;
pub mod content;
pub mod dangers;
pub mod decode;
pub mod folder;
pub mod hash;
pub mod integrity;
pub mod layer;
pub mod layout;
pub mod manifest;
pub mod merge;
pub mod open;
pub mod packages;
pub mod path;
pub mod pull;
pub mod purl;
pub mod reader;
pub mod registry;
pub mod sandbox;
pub mod sbom;
pub mod sparse;
pub mod tarball;
pub mod tree;
pub mod worker;
