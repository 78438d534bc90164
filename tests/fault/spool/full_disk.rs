//! No space is left on the spool's disk: appends are refused, nothing is lost, and the log goes on when there is room.

use std::fs;

use crate::store_fails::{until_recovered, until_refused, while_full};
use crate::support::{Folder, Kind, Record, Settings, Shot, beside_others, fire, in_own_namespace, run};

const NAME: &str = "spool::full_disk::a_full_disk_refuses_and_loses_nothing";

#[test]
fn a_full_disk_refuses_and_loses_nothing() {
    let _turn = beside_others();
    in_own_namespace(NAME, || {
        let folder = Folder::new();
        let disk = folder.path().join("disk");
        fs::create_dir(&disk).expect("a folder to mount to");
        run("mount", &["-t", "tmpfs", "-o", "size=2m", "tmpfs", disk.to_str().expect("a path of text")]);
        let target = format!("sqlite:{}", folder.database().display());
        let url = format!("spool:{}?to={target}", disk.join("spool").display());
        let settings = Settings::new(&url).env("EFFECTS", folder.effects_file());
        let server = settings.start();
        let mut client = server.client();
        let mut shots: Vec<Shot> = Vec::new();
        while_full(&disk, || {
            for kind in [Kind::Admin, Kind::Upload] {
                shots.extend(until_refused(&mut client, kind, 3));
            }
            server.until_health(503);
        });
        shots.extend(until_recovered(&server, "full"));
        shots.push(fire(&mut client, Kind::Admin, "after".to_owned()));
        server.stop();
        // Where only the end was refused, the next start closes the request.
        settings.start().stop();
        let record = Record::read_url(&target);
        record.assert_successes(&shots);
        record.assert_all_ended();
    });
}
