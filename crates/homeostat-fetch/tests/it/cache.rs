//! Where the cache is.

use std::ffi::OsString;
use std::path::Path;

use homeostat_fetch::Cache;

fn found(variables: &[(&str, &str)]) -> Option<Cache> {
    let variable = |name: &str| variables.iter().find(|(key, _)| *key == name).map(|(_, value)| OsString::from(value));
    Cache::find(variable)
}

#[test]
fn the_environment_names_the_cache() {
    let home = ("HOME", "/users/ada");
    for (variables, folder) in [
        (&[("HOMEOSTAT_CACHE", "/big/cache"), ("XDG_CACHE_HOME", "/xdg"), home][..], "/big/cache"),
        (&[("HOMEOSTAT_CACHE", ""), ("XDG_CACHE_HOME", "/xdg"), home], "/xdg/homeostat"),
        (&[("XDG_CACHE_HOME", "relative"), home], "/users/ada/.cache/homeostat"),
        (&[("LOCALAPPDATA", "/local")], "/local/homeostat"),
    ] {
        let cache = found(variables).unwrap();
        assert_eq!((cache.folder(), cache.data()), (Path::new(folder), Path::new(folder).join("data")));
    }
    assert_eq!(found(&[]), None);
}
