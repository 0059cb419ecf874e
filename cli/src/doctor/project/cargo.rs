//! Runs `cargo metadata` without running any program that the project specifies.
//!
//! A project can specify programs. `.cargo/config.toml` sets compilers, wrappers, environment variables such as
//! `LD_PRELOAD` and credential providers. `rust-toolchain.toml` sets the path of a toolchain, or one that rustup would
//! download. Cargo and rustup search for both files in the working directory and its parents. A `PATH` that contains
//! `.` finds programs there too.
//!
//! * Cargo and rustc belong to one installed toolchain. They are called by absolute path, in the directory of the first
//!   Cargo in `PATH`.
//! * The configuration of the project is not read, except for the location of its packages, which is passed value by
//!   value.
//! * If Cargo itself, or a configuration that it would still read, is inside the project, Cargo is not run.
//! * There is no network access, no build and no change to the project.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use cargo_metadata::{CargoOpt, Metadata, MetadataCommand};
use toml::{Table, Value};

use super::files::{find_lock_file, read};
use logbridge::internals::config::{Environment, redact_url};

/// Cargo needs a fraction of a second for hundreds of packages.
const TIMEOUT: Duration = Duration::from_secs(20);
/// The files that Cargo and rustup read in each directory.
const CONFIG_FILES: [&str; 4] = [".cargo/config.toml", ".cargo/config", "rust-toolchain.toml", "rust-toolchain"];

/// Runs `cargo metadata`. It has a timeout, because it may wait for the lock of another Cargo process.
pub(super) fn metadata(environment: &Environment, manifest: &Path) -> Result<Metadata, String> {
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(|error| error.to_string())?;
    let had_lock = find_lock_file(manifest).is_some();
    let mut locks = manifest.ancestors().skip(1).map(|folder| folder.join("Cargo.lock"));
    if let Some(pipe) = locks.find(|path| path.exists() && !path.is_file()) {
        return Err(format!("`{}` is not a regular file", pipe.display()));
    }
    let query = async {
        let toolchain = Toolchain::find(environment, manifest).await?;
        toolchain.metadata(manifest, had_lock).await
    };
    let result = runtime.block_on(async {
        tokio::time::timeout(TIMEOUT, query).await.unwrap_or_else(|_| Err(format!("it took more than {TIMEOUT:?}")))
    });
    // Cargo creates a missing lock file. It is removed, since the project must stay unchanged.
    if let Some(written) = find_lock_file(manifest).filter(|_| !had_lock) {
        std::fs::remove_file(&written)
            .map_err(|error| format!("`{}` cannot be removed: {error}", written.display()))?;
    }
    result
}

/// An installed toolchain, and how its programs are run.
#[derive(Debug)]
struct Toolchain {
    cargo: PathBuf,
    rustc: PathBuf,
    /// The working directory.
    directory: PathBuf,
    /// The name of the toolchain in rustup, if rustup manages it.
    name: Option<String>,
    /// The platform that rustc builds for by default.
    host: Option<String>,
    cargo_home: Option<PathBuf>,
    has_flags: bool,
}

impl Toolchain {
    async fn find(environment: &Environment, manifest: &Path) -> Result<Self, String> {
        let project = project_folder(manifest);
        let named = environment.get("CARGO").unwrap_or("cargo");
        let first = program(environment, named).ok_or_else(|| format!("`{named}` is not in PATH"))?;
        let directory = first.parent().unwrap_or(Path::new("/")).to_owned();
        let beside = directory.join(format!("rustc{}", std::env::consts::EXE_SUFFIX));
        let rustc = if beside.is_file() { Some(beside) } else { program(environment, "rustc") };
        let rustc = rustc.ok_or_else(|| "`rustc` is not in PATH".to_owned())?;
        // A relative path is relative to the directory of this process, not of Cargo.
        let cargo_home = environment.get("CARGO_HOME").and_then(|home| std::path::absolute(home).ok());
        reject_project_files(&project, &directory, cargo_home.as_deref(), &[&first, &rustc])?;

        let mut toolchain =
            Self { cargo: first, rustc, directory, name: None, host: None, cargo_home, has_flags: false };
        toolchain.has_flags =
            ["RUSTFLAGS", "CARGO_ENCODED_RUSTFLAGS"].iter().any(|name| environment.get(name).is_some());
        // The proxies of rustup print the toolchain that they would run. From then on, it is run directly.
        if let Some(sysroot) = toolchain.rustc_output(&["--print", "sysroot"]).await {
            let sysroot = Path::new(sysroot.trim());
            let is_chosen = environment.get("RUSTUP_TOOLCHAIN").is_some();
            toolchain.use_sysroot(sysroot);
            if let Some(channel) = pinned_channel(manifest).filter(|_| !is_chosen) {
                let host = toolchain.host().await.unwrap_or_default();
                installed_toolchain(sysroot, &channel, &host).inspect(|sysroot| toolchain.use_sysroot(sysroot));
            }
        }
        reject_project_files(&project, &toolchain.directory, None, &[&toolchain.cargo, &toolchain.rustc])?;
        toolchain.host = toolchain.host().await;
        Ok(toolchain)
    }

    /// Uses the programs in this sysroot.
    fn use_sysroot(&mut self, sysroot: &Path) {
        let [cargo, rustc] = ["cargo", "rustc"].map(|name| toolchain_program(sysroot, name));
        if cargo.is_file() {
            self.cargo = cargo;
        }
        if rustc.is_file() {
            self.rustc = rustc;
        }
        let is_in_rustup = sysroot.parent().and_then(Path::file_name).is_some_and(|name| name == "toolchains");
        self.name = sysroot.file_name().filter(|_| is_in_rustup).map(|name| name.to_string_lossy().into_owned());
    }

    async fn host(&self) -> Option<String> {
        let text = self.rustc_output(&["-vV"]).await?;
        text.lines().find_map(|line| line.strip_prefix("host: ")).map(str::to_owned)
    }

    async fn rustc_output(&self, arguments: &[&str]) -> Option<String> {
        let mut command = Command::new(&self.rustc);
        command.args(arguments);
        let output = self.output(command).await.ok().filter(|output| output.status.success())?;
        String::from_utf8(output.stdout).ok()
    }

    async fn metadata(&self, manifest: &Path, has_lock: bool) -> Result<Metadata, String> {
        // Packages for other platforms may not be downloaded, and Cargo would need them.
        let platform = self.host.clone().map(|host| ["--filter-platform".to_owned(), host]);
        let sources = package_sources(manifest).into_iter().flat_map(|setting| ["--config".to_owned(), setting]);
        let sources: Vec<String> = sources.collect();
        let run = async |option: &str, all: bool| {
            let mut command = MetadataCommand::new();
            command.cargo_path(&self.cargo).manifest_path(manifest);
            if all {
                // Includes optional dependencies, which findings about disabled features need.
                command.features(CargoOpt::AllFeatures);
            }
            let options = [option.to_owned()].into_iter().chain(platform.clone().into_iter().flatten());
            command.other_options(options.chain(sources.iter().cloned()).collect::<Vec<_>>());
            let cargo = self.cargo.display();
            let output = self.output(command.cargo_command()).await.map_err(|error| format!("`{cargo}`: {error}"))?;
            match output.status.success() {
                true => {
                    MetadataCommand::parse(String::from_utf8_lossy(&output.stdout)).map_err(|error| error.to_string())
                }
                false => Err(first_error(&String::from_utf8_lossy(&output.stderr))),
            }
        };
        // `--frozen` changes nothing, but requires a lock file.
        let options: &[(&str, bool)] = match has_lock {
            true => &[("--frozen", true), ("--frozen", false)],
            false => &[("--offline", true), ("--offline", false)],
        };
        let mut why = String::new();
        for (option, all) in options {
            match run(option, *all).await {
                Ok(metadata) => return Ok(metadata),
                Err(reason) => why = reason,
            }
        }
        Err(why)
    }

    async fn output(&self, mut command: Command) -> std::io::Result<Output> {
        command.current_dir(&self.directory).stdin(Stdio::null());
        // Environment variables take precedence over configuration files. An empty wrapper means none.
        command.env("RUSTC", &self.rustc).env("RUSTC_WRAPPER", "").env("RUSTC_WORKSPACE_WRAPPER", "");
        // Otherwise rustup would download a missing toolchain.
        command.env("RUSTUP_AUTO_INSTALL", "0");
        // Otherwise Cargo would cache the output of rustc in the project.
        command.env("CARGO_CACHE_RUSTC_INFO", "0");
        if !self.has_flags {
            command.env("RUSTFLAGS", "");
        }
        if let Some(name) = &self.name {
            command.env("RUSTUP_TOOLCHAIN", name);
        }
        if let Some(home) = &self.cargo_home {
            command.env("CARGO_HOME", home);
        }
        let mut command = tokio::process::Command::from(command);
        command.kill_on_drop(true).output().await
    }
}

/// Returns the path of a program in a toolchain.
fn toolchain_program(sysroot: &Path, name: &str) -> PathBuf {
    sysroot.join("bin").join(format!("{name}{}", std::env::consts::EXE_SUFFIX))
}

/// Finds a program by name or path. Relative entries of `PATH` may be inside the project and are ignored.
fn program(environment: &Environment, name: &str) -> Option<PathBuf> {
    if Path::new(name).components().count() > 1 {
        return std::path::absolute(name).ok();
    }
    let file = match name.ends_with(std::env::consts::EXE_SUFFIX) {
        true => name.to_owned(),
        false => format!("{name}{}", std::env::consts::EXE_SUFFIX),
    };
    let path = environment.get("PATH").or_else(|| environment.get("Path"))?;
    std::env::split_paths(path)
        .filter(|folder| folder.is_absolute())
        .map(|folder| folder.join(&file))
        .find(|file| file.is_file())
}

/// Returns the root directory of the project: of its repository, its workspace or its manifest.
fn project_folder(manifest: &Path) -> PathBuf {
    let folder = manifest.parent().unwrap_or(Path::new("/"));
    let lock = find_lock_file(manifest).and_then(|lock| Some(lock.parent()?.to_owned()));
    let repository = folder.ancestors().find(|folder| folder.join(".git").exists()).map(Path::to_owned);
    let above = [lock, repository].into_iter().flatten().min_by_key(|folder| folder.components().count());
    let folder = above.unwrap_or(folder.to_owned());
    folder.canonicalize().unwrap_or(folder)
}

/// Returns an error if a program or a configuration file is inside the project.
fn reject_project_files(
    project: &Path,
    directory: &Path,
    cargo_home: Option<&Path>,
    programs: &[&Path],
) -> Result<(), String> {
    let in_directories = directory.ancestors().flat_map(|folder| CONFIG_FILES.map(|name| folder.join(name)));
    let in_home = cargo_home.into_iter().flat_map(|home| ["config.toml", "config"].map(|name| home.join(name)));
    let all = programs.iter().map(|path| path.to_path_buf()).chain(in_directories).chain(in_home);
    let mut in_project = all.filter(|path| path.canonicalize().is_ok_and(|path| path.starts_with(project)));
    match in_project.next() {
        Some(path) => Err(format!("cargo was not run because `{}` is inside the project", path.display())),
        None => Ok(()),
    }
}

/// Returns the toolchain channel that the project selects, if it is a name and not a path.
fn pinned_channel(manifest: &Path) -> Option<String> {
    let folders = manifest.ancestors().skip(1);
    let files = folders.flat_map(|folder| ["rust-toolchain", "rust-toolchain.toml"].map(|name| folder.join(name)));
    let text = files.into_iter().find_map(|file| read(&file).ok())?;
    let channel = match text.parse::<Table>() {
        Ok(table) => table.get("toolchain")?.get("channel")?.as_str()?.to_owned(),
        Err(_one_word) => text.trim().to_owned(),
    };
    let is_name = channel.starts_with(|c: char| c.is_ascii_alphanumeric())
        && channel.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | '_'));
    is_name.then_some(channel)
}

/// Returns the sysroot of a channel, if rustup has installed it beside the given sysroot.
fn installed_toolchain(sysroot: &Path, channel: &str, host: &str) -> Option<PathBuf> {
    let all = sysroot.parent().filter(|all| all.file_name().is_some_and(|name| name == "toolchains"))?;
    let names = [format!("{channel}-{host}"), channel.to_owned()];
    names.map(|name| all.join(name)).into_iter().find(|path| toolchain_program(path, "cargo").is_file())
}

/// Returns the vendored sources and registries in `.cargo/config.toml` as arguments for `--config`. The nearest file
/// takes precedence. None of these settings is a program.
fn package_sources(manifest: &Path) -> Vec<String> {
    let mut found: BTreeMap<String, String> = BTreeMap::new();
    for folder in manifest.ancestors().skip(1) {
        let files = ["config", "config.toml"].map(|name| folder.join(".cargo").join(name));
        let Some(table) = files.iter().find_map(|file| read(file).ok()?.parse::<Table>().ok()) else { continue };
        for (kind, names) in [
            ("source", &["replace-with", "registry", "directory", "git", "branch", "tag", "rev"][..]),
            ("registries", &["index"][..]),
        ] {
            for (entry, settings) in table.get(kind).and_then(Value::as_table).into_iter().flatten() {
                for name in names {
                    let Some(value) = settings.get(*name).and_then(Value::as_str) else { continue };
                    let value = match *name {
                        "directory" => folder.join(value).to_string_lossy().into_owned(),
                        _ => value.to_owned(),
                    };
                    let key = format!("{kind}.{}.{name}", quoted(entry));
                    found.entry(key).or_insert_with(|| quoted(&value));
                }
            }
        }
    }
    found.into_iter().map(|(key, value)| format!("{key}={value}")).collect()
}

/// Returns a basic string of TOML. Every JSON string is one.
fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

/// Returns the first lines of an error of Cargo, without passwords in URLs.
fn first_error(stderr: &str) -> String {
    let lines = stderr.lines().map(|line| line.trim().trim_start_matches("error: "));
    let lines: Vec<&str> = lines.filter(|line| !line.is_empty() && !line.starts_with("Caused by")).take(2).collect();
    let words = lines.join(": ");
    let shown = words.split(' ').map(|word| if word.contains("://") { redact_url(word) } else { word.to_owned() });
    shown.collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A temporary directory with files, removed when dropped.
    struct Folder(PathBuf);

    impl Folder {
        fn new(name: &str, files: &[(&str, &str)]) -> Self {
            let folder = std::env::temp_dir().join(format!("logbridge-cargo-{name}-{}", std::process::id()));
            for (file, text) in files {
                let path = folder.join(file);
                std::fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
                std::fs::write(path, text).expect("a file");
            }
            Self(folder)
        }
    }

    impl Drop for Folder {
        fn drop(&mut self) {
            std::fs::remove_dir_all(&self.0).ok();
        }
    }

    #[test]
    fn a_project_chooses_among_installed_toolchains_only() {
        let cargo = format!("toolchains/nightly-x/bin/cargo{}", std::env::consts::EXE_SUFFIX);
        let folder = Folder::new("installed", &[(&cargo, ""), ("shop/rust-toolchain", "nightly\n")]);
        let sysroot = folder.0.join("toolchains/stable-x");
        let manifest = folder.0.join("shop/Cargo.toml");
        let channel = pinned_channel(&manifest).expect("a channel");
        assert_eq!(installed_toolchain(&sysroot, &channel, "x"), Some(folder.0.join("toolchains/nightly-x")));
        assert_eq!(installed_toolchain(&sysroot, "nightly-x", "x"), Some(folder.0.join("toolchains/nightly-x")));
        assert_eq!(installed_toolchain(&sysroot, "1.80", "x"), None);
        assert_eq!(installed_toolchain(Path::new("/usr"), "nightly", "x"), None, "not a toolchain of rustup");
        for text in ["[toolchain]\nchannel = \"../../evil\"", "[toolchain]\npath = \"evil\"", "/evil", "..", ".", ""] {
            std::fs::write(folder.0.join("shop/rust-toolchain"), text).expect("a file");
            assert_eq!(pinned_channel(&manifest), None, "{text}");
        }
    }

    #[test]
    fn only_the_places_of_packages_are_taken_from_the_configuration() {
        let outer =
            "[source.crates-io]\nreplace-with = \"outer\"\n[source.outer]\nregistry = \"https://a.example/\\\"x\"\n";
        let inner = "[build]\nrustc = \"evil\"\n[source.crates-io]\nreplace-with = \"inner\"\n\
                     [source.inner]\ndirectory = \"vendor\"\n\
                     [registries.corp]\nindex = \"sparse+https://b.example/\"\ncredential-provider = \"evil\"\n\
                     token = \"s3cret\"\n";
        let folder = Folder::new("sources", &[(".cargo/config.toml", outer), ("shop/.cargo/config.toml", inner)]);
        let mut found = package_sources(&folder.0.join("shop/Cargo.toml"));
        // Parents of the temporary directory may have a configuration too.
        found.retain(|setting| ["crates-io", "inner", "outer", "corp"].iter().any(|name| setting.contains(name)));
        let vendor = folder.0.join("shop/vendor");
        let expected = [
            r#"registries."corp".index="sparse+https://b.example/""#.to_owned(),
            r#"source."crates-io".replace-with="inner""#.to_owned(),
            format!(r#"source."inner".directory="{}""#, vendor.display()),
            r#"source."outer".registry="https://a.example/\"x""#.to_owned(),
        ];
        assert_eq!(found, expected);
    }

    #[test]
    fn programs_are_looked_for_in_absolute_directories_only() {
        let name = format!("hook{}", std::env::consts::EXE_SUFFIX);
        let folder = Folder::new("path", &[(&name, "")]);
        let path = std::env::join_paths([Path::new("."), Path::new(""), &folder.0]).expect("a path");
        let environment = [("PATH".to_owned(), path.to_string_lossy().into_owned())].into_iter().collect();
        assert_eq!(program(&environment, "hook"), Some(folder.0.join(&name)));
        let environment = [("PATH".to_owned(), ".::bin".to_owned())].into_iter().collect();
        assert_eq!(program(&environment, "Cargo.toml"), None);
    }
}
