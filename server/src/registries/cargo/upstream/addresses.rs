//! The addresses of indexes, as crates name them beside their dependencies. Pure.

/// How cargo calls the index that a Cargo.toml means where it names none.
pub const CARGOS_OWN: [&str; 2] = [tame_index::CRATES_IO_INDEX, tame_index::CRATES_IO_HTTP_INDEX];

pub fn is_cargos_own(index: &str) -> bool {
    CARGOS_OWN.iter().any(|own| plain(own) == plain(index))
}

/// The address without the protocol that cargo writes before it.
pub fn plain(index: &str) -> &str {
    let address = ["sparse+", "registry+"].iter().find_map(|kind| index.strip_prefix(kind));
    address.unwrap_or(index).trim_end_matches('/')
}
