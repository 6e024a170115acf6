//! Facts about the page that shows every setting.

use super::*;
use crate::config::{ConfigFile, Machine, check};

fn page() -> ConfigFile {
    ConfigFile { name: "reference.toml".to_owned(), text: reference() }
}

#[test]
fn every_setting_stands_in_it_with_all_that_it_says() {
    let read = page().read();
    for setting in settings() {
        assert!(read.written.given.has(setting.id()), "{}", setting.key);
        let entry = entry(setting);
        let end = if setting.needs_restart { "; needs a restart\n" } else { "\n" };
        let default = format!("default {}{end}", setting.default());
        for part in [setting.doc, setting.flag.unwrap_or_default(), setting.unit()] {
            assert!(entry.contains(part), "{part} is not in {entry}");
        }
        assert!(setting.default().is_empty() || entry.contains(&default), "{entry}");
        let table = setting.table_and_name().0;
        let heading = [format!("[{table}]"), format!("[[{table}]] # one such table for each")];
        let page = reference();
        let below = page.split(&entry).next().unwrap().lines().rev();
        let above = below.clone().find(|line| line.starts_with('[')).unwrap_or("[]");
        assert!(page.contains(&entry) && heading.iter().any(|one| one == above), "{entry}");
    }
}

#[test]
fn it_is_a_file_that_can_be_given_to_serve() {
    let read = page().read();
    let told: Vec<_> = read.faults.iter().map(|told| told.sentence.as_str()).collect();
    assert_eq!(told, [""; 0]);
    let machine = Machine { allowed_cores: vec![0], open_files: Some(4096) };
    let errors = check(&read.written, &machine).err().unwrap_or_default();
    let told: Vec<_> = errors.iter().map(|error| read.written.given.tell(error).sentence).collect();
    assert_eq!(told, [""; 0]);
}
