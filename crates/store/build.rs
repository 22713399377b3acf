//! Builds the crate again when a migration is added: `sqlx::migrate!` reads the directory by itself.

fn main() {
    println!("cargo:rerun-if-changed=migrations");
}
