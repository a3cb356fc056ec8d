//! Tells the linker where libpython lives, so that the micro benchmark of Python, and tests that
//! use corelane's own parsers, find it without LD_LIBRARY_PATH. The programs themselves do not link
//! it: without a Python they build as well.

use std::env;
use std::process::Command;

fn main() {
    println!("cargo:rerun-if-env-changed=PYO3_PYTHON");
    println!("cargo:rerun-if-env-changed=CORELANE_BUILD_PYTHON");
    match libpython_folder() {
        Some(folder) => {
            println!("cargo:rustc-link-arg-benches=-Wl,-rpath,{folder}");
            println!("cargo:rustc-link-arg-tests=-Wl,-rpath,{folder}");
        }
        None => println!("cargo:warning=no Python found: its micro benchmark will not run"),
    }
}

/// As the Python says that corelane is built for (`.cargo/config.toml` names it).
fn libpython_folder() -> Option<String> {
    let python = env::var("PYO3_PYTHON").ok()?;
    let question = "import sysconfig; print(sysconfig.get_config_var('LIBDIR'))";
    let answer = Command::new(python).args(["-c", question]).output().ok()?;
    let folder = String::from_utf8(answer.stdout).ok()?.trim().to_owned();
    (answer.status.success() && !folder.is_empty()).then_some(folder)
}
