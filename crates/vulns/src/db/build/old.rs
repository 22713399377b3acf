//! Completing an older file of a source by what has changed since.

use super::{Builder, EXAMPLES, Tag};
use crate::advisory::{CpeRecord, Detail};
use crate::db::store::{Kind, Store, decode};
use crate::feed::{FeedError, Item, Parcel};

impl Builder {
    /// Takes over from an older file of the same source what no new entry has replaced.
    ///
    /// # Errors
    /// The old file is damaged, or the disk is full.
    pub fn keep_old(&mut self, old: &Store) -> Result<(), FeedError> {
        let source = old.meta.name.clone();
        // Nobody knows which of them the new entries mend: rather one too many than one that is forgotten.
        let info = self.infos.entry(source.clone()).or_default();
        info.broken += old.meta.broken;
        let room = EXAMPLES.saturating_sub(info.examples.len());
        info.examples.extend(old.meta.broken_examples.iter().take(room).cloned());
        let mut failure = None;
        let mut each = |kind: Kind, value: &[u8], this: &mut Self| -> Result<(), String> {
            let mut parcels: Vec<Parcel> = Vec::new();
            if kind == Kind::Detail {
                for detail in decode::<Vec<Detail>>(value)? {
                    let (id, modified) = (detail.id.clone(), detail.modified.clone());
                    let items = vec![Item::Detail { bases: Vec::new(), detail: Box::new(detail) }];
                    parcels.push(Parcel { id, modified, items });
                }
            } else {
                for product in decode::<Vec<CpeRecord>>(value)? {
                    parcels.push(Parcel {
                        id: product.id.clone(),
                        modified: String::new(),
                        items: vec![Item::Product(product)],
                    });
                }
            }
            for parcel in parcels {
                if this.newest.contains_key(&this.hash(&source, &parcel.id)) {
                    continue;
                }
                let tag = Tag { entry: 0, modified: String::new(), collection: 0 };
                for item in parcel.items {
                    this.push_item(&source, &tag, item).map_err(|e| {
                        let text = e.to_string();
                        failure = Some(e);
                        text
                    })?;
                }
            }
            Ok(())
        };
        for kind in [Kind::Detail, Kind::Product] {
            let done = old.each(kind, &mut |_, value| each(kind, value, self));
            if let Err(why) = done {
                return Err(failure.take().unwrap_or(FeedError::Keep(why)));
            }
        }
        Ok(())
    }
}
