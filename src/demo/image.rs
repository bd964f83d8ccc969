//! The demo's image: this executable, its loader and the shared libraries it has mapped, put into the engine
//! through its import API. No registry, no base image. Knows no task.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use bollard::Docker;
use bollard::query_parameters::{CreateImageOptionsBuilder, RemoveImageOptionsBuilder};
use bytes::Bytes;
use futures_util::{StreamExt, TryStreamExt, stream};
use uuid::Uuid;

/// An image in the engine, to be [removed](Self::remove) at the end.
#[derive(Debug)]
pub struct DemoImage {
    docker: Docker,
    pub name: String,
}

/// Why there is no image.
#[derive(Debug, thiserror::Error)]
pub enum ImageError {
    #[error("cannot pack this program into an image: {0}")]
    Pack(#[from] io::Error),
    #[error("the engine did not take the image: {0}")]
    Import(#[from] bollard::errors::Error),
}

impl DemoImage {
    /// Packs this program and hands it to the engine.
    pub async fn import(docker: Docker) -> Result<Self, ImageError> {
        // With the process that brought it, for whoever wonders.
        let (process, own) = (std::process::id(), Uuid::new_v4().simple().to_string());
        let name = format!("cube-tui-demo:{process}-{}", &own[..8]);
        let (tar, entrypoint) = tokio::task::spawn_blocking(pack).await.map_err(io::Error::other)??;
        let entrypoint = serde_json::to_string(&entrypoint).map_err(io::Error::from)?;
        let options = CreateImageOptionsBuilder::default()
            .from_src("-")
            // With its tag: Podman passes over one that stands beside it.
            .repo(&name)
            // One change alone: Podman takes several for a single one.
            .changes(vec![format!("ENTRYPOINT {entrypoint}")])
            .build();
        let body = bollard::body_try_stream(stream::iter(chunks(tar)).map(Ok::<_, io::Error>));
        docker.create_image(Some(options), Some(body), None).try_collect::<Vec<_>>().await?;
        Ok(Self { docker, name })
    }

    /// Takes it out of the engine again, with whatever still uses it gone.
    pub async fn remove(self) -> Result<(), ImageError> {
        let options = RemoveImageOptionsBuilder::default().force(true).build();
        self.docker.remove_image(&self.name, Some(options), None).await?;
        Ok(())
    }
}

fn chunks(tar: Vec<u8>) -> impl Iterator<Item = Bytes> + Send {
    const CHUNK: usize = 1 << 20;
    let tar = Bytes::from(tar);
    (0..tar.len()).step_by(CHUNK).map(move |at| tar.slice(at..(at + CHUNK).min(tar.len())))
}

/// The image's files, and how to start the program in it. The loader is called by name and told where the
/// libraries are, so that nothing depends on where this machine keeps its own.
fn pack() -> io::Result<(Vec<u8>, Vec<String>)> {
    let executable = fs::read_link("/proc/self/exe")?;
    let mapped = mapped_files(&fs::read_to_string("/proc/self/maps")?, &executable);
    let mut tar = tar::Builder::new(Vec::new());
    // By this name it can be read even if the file was replaced since the start.
    add(&mut tar, Path::new("/proc/self/exe"), "cube-tui")?;
    let mut loader = None;
    for library in mapped {
        let Some(name) = library.file_name().and_then(|name| name.to_str()) else { continue };
        add(&mut tar, &library, &format!("lib/{name}"))?;
        if name.starts_with("ld-") {
            loader = Some(format!("/lib/{name}"));
        }
    }
    let program = String::from("/cube-tui");
    let entrypoint = match loader {
        Some(loader) => vec![loader, "--library-path".to_owned(), "/lib".to_owned(), program],
        None => vec![program],
    };
    Ok((tar.into_inner()?, entrypoint))
}

fn add(tar: &mut tar::Builder<Vec<u8>>, file: &Path, name: &str) -> io::Result<()> {
    let mut file = File::open(file)?;
    let mut header = tar::Header::new_gnu();
    header.set_size(file.metadata()?.len());
    header.set_mode(0o755);
    tar.append_data(&mut header, name, &mut file)
}

/// The shared objects in a /proc/PID/maps (proc(5)): files that are mapped as code, other than the program.
fn mapped_files(maps: &str, executable: &Path) -> BTreeSet<PathBuf> {
    maps.lines()
        .filter_map(|line| {
            // address, permissions, offset, device, inode, path
            let mut fields = line.splitn(6, ' ');
            let is_code = fields.nth(1)?.contains('x');
            let path = Path::new(fields.nth(3)?.trim_start());
            (is_code && path.is_absolute() && path != executable && path.is_file()).then(|| path.to_owned())
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_mapped_libraries_of_this_very_process_are_found() {
        let executable = fs::read_link("/proc/self/exe").unwrap();
        let mapped = mapped_files(&fs::read_to_string("/proc/self/maps").unwrap(), &executable);
        assert!(mapped.iter().all(|path| path.is_absolute() && *path != executable));
        let names: Vec<_> = mapped.iter().filter_map(|path| path.file_name()?.to_str()).collect();
        assert!(names.iter().any(|name| name.starts_with("libc") || name.starts_with("ld-")), "{names:?}");
    }

    #[test]
    fn data_vdso_and_the_program_itself_are_left_out() {
        let maps = "\
55d0-55d1 r-xp 00000000 fe:00 17                         /bin/sh
7f00-7f01 r--p 00000000 fe:00 18                         /etc/passwd
7ffd-7ffe r-xp 00000000 00:00 0                          [vdso]
7f02-7f03 r-xp 00000000 00:00 0 
7f04-7f05 r-xp 00000000 fe:00 19                         /no/such/lib.so
7f06-7f07 r-xp 00000000 fe:00 20                         /etc/hostname
";
        let expected = BTreeSet::from([PathBuf::from("/etc/hostname")]);
        assert_eq!(mapped_files(maps, Path::new("/bin/sh")), expected);
    }
}
