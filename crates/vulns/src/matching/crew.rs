//! Packages are matched by several threads, each with what it has looked up so far.
//!
//! What comes out is in the order of the scan, whichever thread was faster. Packages of one source ask for the same
//! records, so they stay together as far as that leaves work for all.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::available_parallelism;

use haechi_core::inventory::Package;

use crate::advisory::LookupError;

/// More threads wait for the same memory.
const THREADS_MAX: usize = 8;
/// Packages that one thread takes at once.
const SHARE_MAX: usize = 8;

/// Calls `work` once for each of these packages, with its place in the list and a helper that its thread made, and
/// gives the results by place, in order.
///
/// # Errors
/// The first that `work` gives in the order of the threads; they end early then.
pub fn each<H, T: Send>(
    packages: &[Package],
    mut places: Vec<usize>,
    helper: impl Fn() -> H + Sync,
    work: impl Fn(&mut H, usize, &Package) -> Result<T, LookupError> + Sync,
) -> Result<Vec<(usize, T)>, LookupError> {
    let source = |place: &usize| packages.get(*place).map(asked);
    places.sort_by(|a, b| source(a).cmp(&source(b)));
    let shares: Vec<&[usize]> = places
        .chunk_by(|a, b| source(a) == source(b))
        .flat_map(|same| same.chunks(SHARE_MAX))
        .collect();
    let next = AtomicUsize::new(0);
    let run = || {
        let (mut helper, mut done) = (helper(), Vec::new());
        while let Some(share) = shares.get(next.fetch_add(1, Ordering::Relaxed)) {
            for &place in *share {
                let Some(package) = packages.get(place) else { continue };
                match work(&mut helper, place, package) {
                    Ok(result) => done.push((place, result)),
                    Err(error) => {
                        next.store(shares.len(), Ordering::Relaxed);
                        return Err(error);
                    }
                }
            }
        }
        Ok(done)
    };
    let threads = available_parallelism().map_or(1, usize::from).min(THREADS_MAX);
    // This thread works as well.
    let others = threads.min(shares.len()).saturating_sub(1);
    let mut all = Vec::with_capacity(places.len());
    std::thread::scope(|scope| {
        let others: Vec<_> = (0..others).map(|_| scope.spawn(run)).collect();
        let mut results = vec![run()];
        for other in others {
            match other.join() {
                Ok(result) => results.push(result),
                Err(panic) => std::panic::resume_unwind(panic),
            }
        }
        for result in results {
            all.extend(result?);
        }
        Ok(())
    })?;
    all.sort_by_key(|(place, _)| *place);
    Ok(all)
}

/// The name by which a package's records are asked for, first of all.
fn asked(package: &Package) -> &str {
    package.source.as_ref().map_or(package.name.as_str(), |source| source.name.as_str())
}

#[cfg(test)]
mod tests {
    use haechi_core::inventory::PackageKind;

    use super::*;

    fn packages(count: usize) -> Vec<Package> {
        let name = |number: usize| format!("p{}", number % 7);
        (0..count).map(|n| Package::new(PackageKind::Npm, name(n), "1", "path")).collect()
    }

    #[test]
    fn every_package_once_and_in_order() {
        let packages = packages(1000);
        let places: Vec<usize> = (0..1000).filter(|place| place % 3 > 0).collect();
        let all = each(&packages, places.clone(), || (), |(), place, _| Ok(place)).unwrap();
        assert!(all.iter().all(|(place, same)| place == same));
        assert_eq!(all.into_iter().map(|(place, _)| place).collect::<Vec<_>>(), places);
    }

    #[test]
    fn an_error_ends_all() {
        let packages = packages(100);
        let fails = |(): &mut (), place, _: &Package| match place {
            50 => Err(LookupError("damaged".into())),
            _ => Ok(()),
        };
        let error = each(&packages, (0..100).collect(), || (), fails).unwrap_err();
        assert!(error.to_string().contains("damaged"));
    }
}
