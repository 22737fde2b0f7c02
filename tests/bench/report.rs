//! The whole outcome as Markdown, and its place in docs/benchmarks.md.

use std::fmt::Write as _;

use crate::arguments::Arguments;
use crate::bars::{self, judge};
use crate::corpus;
use crate::ground::Ground;
use crate::machine::{self, Machine};
use crate::results::Results;
use crate::rows::{Format, ROWS, hot, record};
use crate::servers::{Wanted, garth, kellnr, nora, verdaccio};
use crate::table;

/// Where the table of a format lies in the page.
fn marks(format: Format) -> (String, String) {
    let name = name(format);
    let begin = format!("<!-- {name}: written by ./dev bench {name} --write -->");
    (begin, format!("<!-- {name}: end -->"))
}

fn name(format: Format) -> &'static str {
    match format {
        Format::Npm => "npm",
        Format::Cargo => "cargo",
    }
}

pub fn text(
    ground: &Ground,
    arguments: &Arguments,
    machine: &Machine,
    results: &Results,
) -> String {
    let format = arguments.format;
    let mut text = format!("## {}\n\n", name(format));
    text.push_str(&how(ground, format, machine));
    match format {
        Format::Npm => text.push_str(&preface(ground)),
        Format::Cargo => text.push_str(&preface_of_crates(ground)),
    }
    let judged: Vec<_> = ROWS
        .iter()
        .filter(|row| arguments.rows.contains(&row.name))
        .flat_map(|row| bars::of_row(row.name))
        .map(|bar| judge(results, &bar))
        .collect();
    let _ = write!(text, "\n### Bars\n\n{}", table::bar_table(&judged));
    for row in &ROWS {
        if results.places(row.name).next().is_some() {
            let rows = table::row_table(results, row.name);
            let _ = write!(text, "\n### {}\n\n{rows}", row.title);
        }
    }
    text
}

fn how(ground: &Ground, format: Format, machine: &Machine) -> String {
    let warning = if ground.quick { " **Run with --quick: these are no figures.**" } else { "" };
    format!(
        "`./dev bench {name}`, {date}, {cores} shared cores ({processor}), Linux {kernel}.{warning} \
Medians of {runs} interleaved runs, with the least and the most. One server runs at a time, bound to one core, \
so garth has one worker; load generator and origin are bound to the other. Hot rows: wrk, {connections} connections \
kept open, {seconds} s after 1 s of warming up; CPU is that of all the server's processes, from /proc; p99 is at full load. \
nginx serves the very bytes that garth answers with.",
        name = name(format),
        date = machine.date,
        cores = machine.cores,
        processor = machine.processor,
        kernel = machine.kernel,
        runs = ground.runs,
        connections = hot::CONNECTIONS,
        seconds = ground.load.as_secs(),
    )
}

fn kilobytes(ground: &Ground, wanted: Wanted) -> String {
    #[allow(clippy::cast_precision_loss, reason = "some megabytes")]
    table::number(ground.mirrored_length(wanted) as f64 / 1e3)
}

fn missing(server: &str, found: &Result<std::path::PathBuf, String>) -> String {
    match found {
        Err(cause) if !cause.is_empty() => format!(" {server} is not there: {cause}."),
        _ => String::new(),
    }
}

fn preface_of_crates(ground: &Ground) -> String {
    format!(
        " The index file has {index} KB, the crate {small} KB.\n\
\n\
garth enforces rules, {rules} more than those that allow these crates; its log is at its default (info: a line for each \
request, to a file). nginx {nginx} writes its access log to a file, as Debian sets it up. Cold are {cold} crates that nobody \
has asked for, one after the other, each with its index file first. nora-registry {nora} and kellnr {kellnr} have their own \
defaults, but nora no limit of requests and no reason to ask the origin again; both answer with their own form of the index \
file.{no_nora}{no_kellnr} The workspace has {workspace} crates, which cargo fetches by its lockfile into an empty home, over HTTP/1.1; \
nginx serves the same registry as files.\n",
        nora = nora::BUILT.version,
        kellnr = kellnr::BUILT.version,
        no_nora = missing("nora-registry", &ground.nora),
        no_kellnr = missing("kellnr", &ground.kellnr),
        workspace = corpus::crates::WORKSPACE,
        index = kilobytes(ground, Wanted::Index),
        small = kilobytes(ground, Wanted::Crate),
        rules = garth::OTHER_RULES,
        nginx = machine::version("nginx", "-v"),
        cold = corpus::crates::COLD,
    )
}

fn preface(ground: &Ground) -> String {
    #[allow(clippy::cast_precision_loss, reason = "some megabytes")]
    let large = table::number(ground.corpus.large_bytes as f64 / 1e6);
    format!(
        " The packument has {small} KB, the large one {large} MB and as gzip {packed} KB, the tarball {tarball} KB.\n\
\n\
garth enforces rules, {rules} more than those that allow these packages; its log is at its default (info: a line for each \
request, to a file). nginx {nginx} writes its access log to a file, as Debian sets it up, with gzip_static. Verdaccio {verdaccio} \
(node {node}) and nora-registry {nora} have their own defaults, but nora no limit of requests and both no reason to ask the \
origin again; what they answer with is their own form of the same document.{no_verdaccio}{no_nora} New packages are asked for by {clients} clients; \
the disk makes {durable} small writes durable in a second, one after the other.\n",
        small = kilobytes(ground, Wanted::Packument),
        packed = kilobytes(ground, Wanted::Large),
        tarball = kilobytes(ground, Wanted::Tarball),
        rules = garth::OTHER_RULES,
        nginx = machine::version("nginx", "-v"),
        verdaccio = verdaccio::VERSION,
        node = machine::version("node", "--version"),
        nora = nora::BUILT.version,
        no_verdaccio = missing("Verdaccio", &ground.verdaccio),
        no_nora = missing("nora-registry", &ground.nora),
        clients = record::CLIENTS,
        durable = table::number(machine::durable_writes(&ground.directory)),
    )
}

/// `page` with `text` between the marks; at its end, if it has none yet.
pub fn placed(page: &str, format: Format, text: &str) -> String {
    let (begins, ends) = marks(format);
    let block = format!("{begins}\n{}\n{ends}", text.trim_end());
    match (page.find(&begins), page.find(&ends)) {
        (Some(begin), Some(end)) if begin < end => {
            format!("{}{block}{}", &page[..begin], &page[end + ends.len()..])
        }
        _ => format!("{}\n\n{block}\n", page.trim_end()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_takes_the_place_of_the_one_before() {
        let page = "# Benchmarks\n\n## Deciding\n";
        let (begins, ends) = marks(Format::Npm);
        let placed = |page: &str, text| placed(page, Format::Npm, text);
        let once = placed(page, "## npm\nold\n");
        assert_eq!(once, format!("# Benchmarks\n\n## Deciding\n\n{begins}\n## npm\nold\n{ends}\n"));
        let behind = format!("{once}\n## More\n");
        let twice = placed(&behind, "## npm\nnew\n");
        assert_eq!(twice, behind.replace("old", "new"));
        assert_eq!(placed(&twice, "## npm\nnew\n"), twice);
    }
}
