//! Which packages there are: one file for each package manager, language or kind of binary.

use crate::reader::Reader;

pub mod apk;
pub mod dotnet;
pub mod dpkg;
pub mod files;
pub mod go;
pub mod java;
pub mod lockfiles;
pub mod node;
pub mod php;
pub mod programs;
pub mod python;
pub mod rpm;
pub mod ruby;
pub mod rust;

/// Every reader of packages.
pub fn readers() -> Vec<&'static Reader> {
    [
        files::READERS,
        dpkg::READERS,
        apk::READERS,
        rpm::READERS,
        python::READERS,
        node::READERS,
        go::READERS,
        rust::READERS,
        java::READERS,
        ruby::READERS,
        php::READERS,
        dotnet::READERS,
        programs::READERS,
    ]
    .into_iter()
    .flatten()
    .collect()
}
