//! Refuses an unsuitable Python with a word on what to install, and tells the linker where libpython
//! lives, so that the binary finds it at run time without LD_LIBRARY_PATH.

#![expect(clippy::print_stderr, reason = "cargo shows what a failing build script prints there")]

use std::process::exit;

fn main() {
    println!("cargo:rerun-if-env-changed=PYO3_PYTHON");
    println!("cargo:rerun-if-env-changed=CORELANE_BUILD_PYTHON");
    let python = pyo3_build_config::get();
    let executable = python.executable().unwrap_or("python3");
    let version = python.version();
    if (version.major, version.minor) < (3, 13) {
        refuse(&format!("{executable} is Python {version}"));
    }
    if !python.shared() {
        refuse(&format!("{executable} has no shared libpython"));
    }
    pyo3_build_config::add_libpython_rpath_link_args();
    println!("cargo:rustc-env=CORELANE_PYTHON={executable}");
    println!("cargo:rustc-env=CORELANE_PYTHON_VERSION={version}");
}

fn refuse(found: &str) -> ! {
    eprintln!("corelane needs CPython 3.13 or newer with a shared libpython, but {found}.");
    eprintln!("Run scripts/python --which to see what it finds and what to install, or set");
    eprintln!("CORELANE_BUILD_PYTHON to the path of a suitable python3.");
    exit(1)
}
