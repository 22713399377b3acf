//! Facts of behaviour: what containers and images were seen to do, from the profiles that the monitor learned.
//!
//! Filled from profiles; absent where a container was never watched with `--profile`. That something is not in them means
//! nothing unless its part is settled. Nothing here judges.

use std::collections::BTreeMap;

use super::facts;

facts! {
    /// What containers of a container's workload (its image with its command) were seen to do.
    pub struct Behaviour {
        /// Parts that are known well enough for "never": `calls`, `capabilities`, `files`, `network`, `programs`, sorted.
        pub settled: Vec<String>,
        /// By part: how long and how well it was watched, in lines; the first says whether it is settled, the others why not.
        pub known: BTreeMap<String, Vec<String>>,
        /// For how long at least one container of the workload was watched, as `74 h 20 min`.
        pub watched: String,
        /// Capabilities that were used, sorted; without those that came after the profile was settled.
        pub capabilities: Vec<String>,
        /// Capabilities that this container holds, and that no container of its workload was ever seen to ask for.
        pub unused_capabilities: Vec<String>,
        /// Capabilities that this container holds, and that were asked for only after the profile was settled.
        pub new_capabilities: Vec<String>,
        /// Ports that were listened on, as `80/tcp`; without those that came after the profile was settled.
        pub listening: Vec<String>,
        /// Ports that were listened on only after the profile was settled.
        pub new_listening: Vec<String>,
        /// What was used of each mount that shows a path of the host.
        pub mounts: Vec<MountUse>,
        /// Folders outside of mounts that must stay writable, as `--tmpfs` takes them; a read-only root works with these alone.
        pub tmpfs: Vec<String>,
        /// Of those, folders that look like data to be kept: they need a volume.
        pub kept_folders: Vec<String>,
        /// Why the root cannot be read-only as it is; empty if it can.
        pub root_obstacles: Vec<String>,
        /// System calls that were seen, of the 64-bit entry.
        pub calls_used: i64,
        /// System calls that its profile allows today; -1 if that is not known.
        pub calls_allowed: i64,
        /// System calls that a profile made from what was seen would allow.
        pub calls_needed: i64,
    }

    /// What was used of a mount.
    pub struct MountUse {
        /// Where it is in the container.
        pub destination: String,
        /// `yes`, `no` (no file of it was opened, executed, made, renamed or removed, and that would have been seen), or
        /// `unknown`.
        pub used: String,
        /// Different files that were read, mapped or executed.
        pub read: i64,
        /// Different files that were written, made, renamed or removed.
        pub written: i64,
        /// Some of these files.
        pub files: Vec<String>,
    }

    /// What all workloads of an image were seen to use of its packages.
    pub struct ImageBehaviour {
        /// Whether every container of it, and one workload at least, was watched well enough for "never".
        pub settled: bool,
        /// How long and how well it was watched, in lines; the first says whether it is settled, the others why not.
        pub known: Vec<String>,
        /// Its packages, by kind and name.
        pub packages: Vec<PackageSeen>,
    }

    /// What was seen of a package.
    pub struct PackageSeen {
        /// `deb`, `apk`, `rpm`, `pypi` …
        pub kind: String,
        /// Its name.
        pub name: String,
        /// Its version.
        pub version: String,
        /// `executed`, `loaded`, `present` (nothing of it was used) or `unknown`, until the profiles were settled.
        pub state: String,
        /// Whether something of it was used only after the profiles were settled.
        pub new: bool,
        /// A file of it that was used; empty if none was.
        pub file: String,
        /// The layer that brought it, from 0; -1 if unknown.
        pub layer: i64,
    }
}
