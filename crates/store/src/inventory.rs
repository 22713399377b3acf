//! What is kept of a verification beside its findings: containers, images and what is at risk.
//!
//! Replaced as a whole, in one transaction, for a host and a benchmark. Reports about images are kept before that, each in
//! a transaction of its own, because writing them all takes long and the monitor must not wait: a report says the same
//! whichever verification made it. Nothing is ranked here.

mod named;
mod read;
mod reports;

use haechi_core::risk::{ContainerKept, ImageKept, Inventory};
use haechi_core::verdict::ImageReport;
use sqlx::QueryBuilder;

pub use read::{ContainerFilter, ImageFilter, InventoryRow, Place};
pub use reports::FlawFound;

use crate::error::StoreError;
use crate::page::body;
use crate::{Store, VerificationId, Writing};

/// Rows written by one statement; SQLite takes at most 32 766 values.
const ROWS_AT_ONCE: usize = 1000;
/// Entries of each long list of an image that a list of images shows.
const SHORT: usize = 3;

impl Store {
    /// Keeps the inventory of a verification in place of the one before of this host and benchmark, with the reports about
    /// images that were made for it. Those of images that were not read this time stay, those of images that are not there
    /// any more go.
    ///
    /// # Errors
    /// It could not be written: then the one before stays, perhaps with newer reports about its images.
    pub async fn keep_inventory(
        &self,
        verification: VerificationId,
        inventory: &Inventory,
        reports: &[ImageReport],
    ) -> Result<(), StoreError> {
        let doing = "keeping containers and images";
        let failed = self.failed(doing);
        let (host, benchmark, taken_at): (String, String, String) =
            sqlx::query_as("SELECT host, benchmark, taken_at FROM verification WHERE id = ?")
                .bind(verification)
                .fetch_optional(&self.pool)
                .await
                .map_err(failed)?
                .ok_or_else(|| crate::read::none(verification))?;
        for report in reports {
            self.keep_report(&host, report).await?;
        }
        // Put into words before the others have to wait.
        let containers = inventory.containers.iter().map(body).collect::<Result<Vec<_>, _>>()?;
        let images = inventory
            .images
            .iter()
            .map(|image| Ok((body(&short(image))?, body(image)?)))
            .collect::<Result<Vec<_>, StoreError>>()?;
        let risks = inventory.risks.iter().map(body).collect::<Result<Vec<_>, _>>()?;

        let mut writing = self.begin(doing).await?;
        sqlx::query("DELETE FROM inventory WHERE host = ? AND benchmark = ?")
            .bind(&host)
            .bind(&benchmark)
            .execute(&mut *writing.all)
            .await
            .map_err(failed)?;
        let id: i64 = sqlx::query_scalar(
            "INSERT INTO inventory (host, benchmark, verification, taken_at, containers, images, risks)
             VALUES (?, ?, ?, ?, ?, ?, ?) RETURNING id",
        )
        .bind(&host)
        .bind(&benchmark)
        .bind(verification)
        .bind(taken_at)
        .bind(count(inventory.containers.len()))
        .bind(count(inventory.images.len()))
        .bind(count(inventory.risks.len()))
        .fetch_one(&mut *writing.all)
        .await
        .map_err(failed)?;
        write_containers(&mut writing, id, &inventory.containers, &containers)
            .await
            .map_err(failed)?;
        write_images(&mut writing, id, &inventory.images, &images).await.map_err(failed)?;
        for (place, (risk, body)) in inventory.risks.iter().zip(&risks).enumerate() {
            sqlx::query("INSERT INTO risk (inventory, n, area, body) VALUES (?, ?, ?, ?)")
                .bind(id)
                .bind(count(place))
                .bind(risk.line.area.name())
                .bind(body)
                .execute(&mut *writing.all)
                .await
                .map_err(failed)?;
        }
        sqlx::query(
            "DELETE FROM image_report WHERE host = ?1 AND image NOT IN
                 (SELECT kept_image.id FROM kept_image JOIN inventory ON inventory.id = kept_image.inventory
                  WHERE inventory.host = ?1)",
        )
        .bind(&host)
        .execute(&mut *writing.all)
        .await
        .map_err(failed)?;
        writing.commit().await.map_err(failed)
    }
}

async fn write_containers(
    writing: &mut Writing,
    inventory: i64,
    containers: &[ContainerKept],
    bodies: &[String],
) -> Result<(), sqlx::Error> {
    let rows: Vec<_> = containers.iter().zip(bodies).collect();
    for rows in rows.chunks(ROWS_AT_ONCE) {
        // What an engine tells twice is kept once.
        let mut insert = QueryBuilder::new(
            "INSERT OR REPLACE INTO kept_container (inventory, id, rank, running, name, image, image_id, body) ",
        );
        insert.push_values(rows, |mut values, (container, body)| {
            values
                .push_bind(inventory)
                .push_bind(&container.id)
                .push_bind(container.rank)
                .push_bind(container.exposure.running)
                .push_bind(&container.name)
                .push_bind(&container.image)
                .push_bind(&container.image_id)
                .push_bind(*body);
        });
        insert.build().execute(&mut *writing.all).await?;
    }
    Ok(())
}

async fn write_images(
    writing: &mut Writing,
    inventory: i64,
    images: &[ImageKept],
    bodies: &[(String, String)],
) -> Result<(), sqlx::Error> {
    let rows: Vec<_> = images.iter().zip(bodies).collect();
    for rows in rows.chunks(ROWS_AT_ONCE) {
        let mut insert = QueryBuilder::new(
            "INSERT OR REPLACE INTO kept_image (inventory, id, rank, safety, names, short, body) ",
        );
        insert.push_values(rows, |mut values, (image, (short, body))| {
            let mut names = vec![image.line.name.as_str()];
            names.extend(
                image.line.tags.iter().map(String::as_str).filter(|t| *t != image.line.name),
            );
            values
                .push_bind(inventory)
                .push_bind(&image.line.id)
                .push_bind(image.rank)
                .push_bind(image.line.safety.map(|safety| safety.name()))
                .push_bind(names.join("\n"))
                .push_bind(short)
                .push_bind(body);
        });
        insert.build().execute(&mut *writing.all).await?;
    }
    Ok(())
}

/// An image as a list shows it: its long lists cut, and their rest counted.
fn short(image: &ImageKept) -> ImageKept {
    fn cut<T>(list: &mut Vec<T>, more: &mut u64, most: usize) {
        *more += list.len().saturating_sub(most) as u64;
        list.truncate(most);
    }
    let mut short = image.clone();
    let line = &mut short.line;
    cut(&mut line.flaws, &mut line.flaws_more, SHORT);
    cut(&mut line.fixes, &mut line.fixes_more, SHORT);
    cut(&mut line.problems, &mut line.problems_more, SHORT);
    cut(&mut line.layers, &mut line.layers_more, 0);
    short.used.clear();
    short
}

/// A length as SQLite's integer.
fn count(length: usize) -> i64 {
    i64::try_from(length).unwrap_or(i64::MAX)
}
