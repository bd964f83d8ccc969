//! Where the host's paths lead that a task asks for: a link in an allowed folder opens no other one. Looks at this host's
//! disks; starts nothing.

use std::io;
use std::path::{Path, PathBuf};

use tokio::fs::canonicalize;

use super::runtime::{GivenDevice, GivenPath, HostGiven};
use crate::cluster::{Allows, Denied, is_in_any};
use crate::task::{Mount, TaskSpec};

/// What the task is given of this host, with every link followed; what the engine does with it then can't be led elsewhere
/// by a link. The error says what is not allowed or not there.
///
/// The policy was asked when the task came. It is asked again here, since a task may be found that came under another one.
pub(super) async fn host_given(spec: &TaskSpec, allows: &Allows) -> Result<HostGiven, String> {
    allows.check(spec).map_err(|denied| refusal(&denied))?;
    let mut given = HostGiven::default();
    let mounts = spec.mounts.iter().filter_map(|mount| Mount::parse(mount).ok());
    for mount in mounts {
        let Some(asked) = mount.host_path() else { continue };
        let source = follow("the host path", "host_paths", asked, &allows.host_paths).await?;
        let (path, is_read_only) = (mount.path.to_owned(), mount.is_read_only);
        given.paths.push(GivenPath { source, path, is_read_only });
    }
    for device in spec.privileges.iter().flat_map(|privileges| &privileges.devices) {
        let source = follow("the device", "devices", &device.host, &allows.devices).await?;
        given.devices.push(GivenDevice { source, device: device.clone() });
    }
    Ok(given)
}

/// Where `asked` leads, if that is allowed too.
async fn follow(what: &str, key: &str, asked: &str, allowed: &[String]) -> Result<PathBuf, String> {
    let path = canonicalize(asked).await.map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => {
            format!("{what} {asked} is not there on this worker's host; make it first")
        }
        _ => format!("{what} {asked} can't be looked at: {error}"),
    })?;
    // What is allowed may be a link itself: /run is often where /var/run leads.
    let mut folders = Vec::with_capacity(allowed.len());
    for folder in allowed {
        folders.push(canonicalize(folder).await.unwrap_or_else(|_| PathBuf::from(folder)));
    }
    if is_in_any(&path, &folders) {
        return Ok(path);
    }
    let leads_to = |path: &Path| Denied::leads_to(what, key, allowed, &path.to_string_lossy());
    Err(format!("{asked} is a link; {}", refusal(&leads_to(&path))))
}

/// What this worker says to a task that asks for too much.
pub(super) fn refusal(Denied { what, lines }: &Denied) -> String {
    format!("this worker does not allow {what}; {lines} in its policy.toml would")
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use super::*;

    fn asks_for(mount: &Path) -> TaskSpec {
        TaskSpec { mounts: vec![format!("{}:/in:ro", mount.display())], ..TaskSpec::default() }
    }

    #[tokio::test]
    async fn a_link_in_an_allowed_folder_opens_no_other_one() {
        let folder = tempfile::tempdir().unwrap();
        let real = fs::canonicalize(folder.path()).unwrap();
        let (open, closed) = (real.join("open"), real.join("closed"));
        for folder in [open.join("data"), closed.clone()] {
            fs::create_dir_all(folder).unwrap();
        }
        symlink(&closed, open.join("out")).unwrap();
        symlink(open.join("data"), open.join("in")).unwrap();
        symlink(&open, real.join("alias")).unwrap();
        let allows = |folder: &Path| {
            let host_paths = vec![folder.to_str().unwrap().to_owned()];
            Allows { host_paths, ..Allows::default() }
        };
        let given = |path: PathBuf, allowed: &Path| {
            let (spec, allows) = (asks_for(&path), allows(allowed));
            async move { host_given(&spec, &allows).await }
        };
        let data = open.join("data");
        for (asked, allowed) in [
            (data.clone(), &open),
            (open.join("in"), &open),
            (real.join("alias/data"), &real.join("alias")),
            (data.clone(), &PathBuf::from("/")),
        ] {
            let given =
                given(asked.clone(), allowed).await.unwrap_or_else(|error| panic!("{asked:?}: {error}"));
            assert_eq!((&given.paths[0].source, given.paths[0].is_read_only), (&data, true), "{asked:?}");
        }
        let out = given(open.join("out"), &open).await.unwrap_err();
        assert!(out.contains("is a link") && out.contains(closed.to_str().unwrap()), "{out}");
        let missing = given(open.join("nothing"), &open).await.unwrap_err();
        assert!(missing.contains("is not there"), "{missing}");
        let denied = given(closed, &open).await.unwrap_err();
        assert!(denied.contains("host_paths = ["), "{denied}");
    }

    #[tokio::test]
    async fn a_device_is_followed_too() {
        let folder = tempfile::tempdir().unwrap();
        let link = folder.path().join("zero");
        symlink("/dev/zero", &link).unwrap();
        let device = link.to_str().unwrap().parse().unwrap();
        let privileges = crate::task::Privileges { devices: vec![device], ..Default::default() };
        let spec = TaskSpec { privileges: Some(Box::new(privileges)), ..TaskSpec::default() };
        let devices = |names: &[&str]| {
            let devices = names.iter().map(|name| (*name).to_owned()).collect();
            Allows { devices, ..Allows::default() }
        };
        let both = devices(&[folder.path().to_str().unwrap(), "/dev/zero"]);
        let given = host_given(&spec, &both).await.unwrap();
        assert_eq!(given.devices[0].source, Path::new("/dev/zero"));
        let only_the_link = devices(&[folder.path().to_str().unwrap()]);
        assert!(host_given(&spec, &only_the_link).await.unwrap_err().contains("the device /dev/zero"));
    }
}
