//! What a package manager printed, without what is another at each run or on each machine.

use std::path::Path;

pub fn redact(text: &str, home: &Path, programs: &Path) -> String {
    // Some systems have a link on the way to the temporary directory.
    let real = home.canonicalize().unwrap();
    let text = text.replace(&*real.to_string_lossy(), "HOME");
    let text = text.replace(&*home.to_string_lossy(), "HOME");
    let clients = programs.parent().unwrap_or(programs);
    let text = text.replace(&*clients.to_string_lossy(), "CLIENTS");
    let text = unwrapped(&text);
    let lines = text.lines().filter(|line| !is_noise(line)).map(redact_line);
    lines.collect::<Vec<_>>().join("\n").trim().to_owned()
}

/// pnpm breaks its messages where the line is full, dates and addresses too.
fn unwrapped(text: &str) -> String {
    let mut whole = String::new();
    let mut in_message = false;
    for line in text.lines() {
        match line.strip_prefix("      ") {
            Some(rest) if in_message && !rest.starts_with(' ') => {
                let space = if whole.ends_with('-') { "" } else { " " };
                whole.push_str(space);
                whole.push_str(rest);
            }
            _ => {
                whole.push('\n');
                whole.push_str(line);
                in_message = line.starts_with("  ╰─▶ ");
            }
        }
    }
    whole
}

/// Progress, traces of a client's own code, names of log files.
fn is_noise(line: &str) -> bool {
    line.contains("A complete log of this run can be found in")
        || line.starts_with("Progress: ")
        || line.starts_with("Node.js v")
        || line.starts_with("    at ")
        || line.starts_with("CLIENTS")
        || line.starts_with("Resolved, downloaded and extracted")
}

fn redact_line(line: &str) -> String {
    let line = without_ports(&without_dates(line));
    let mut words: Vec<&str> = Vec::new();
    for word in line.split(' ') {
        let before = words.last().copied().unwrap_or_default();
        if is_duration(word) {
            if before != "TIME" {
                words.push("TIME");
            }
        } else if is_version(word) || before == "Yarn" {
            words.push("VERSION");
        } else if before == "VERSION" && word.starts_with('(') {
            // The commit that it was built from.
        } else {
            words.push(word);
        }
    }
    // Some clients say how long a step took only if it took long.
    words.join(" ").replace("Completed in TIME", "Completed").trim_end().to_owned()
}

/// `432ms`, `0.09s.`, `[6.00ms]`
fn is_duration(word: &str) -> bool {
    let word = word.trim_start_matches('[').trim_end_matches(['.', ',', ']', ')']);
    let number = word.strip_suffix("ms").or_else(|| word.strip_suffix('s')).unwrap_or_default();
    !number.is_empty() && number.chars().all(|c| c.is_ascii_digit() || c == '.')
}

/// `v1.2.3`: only their own versions are written so.
fn is_version(word: &str) -> bool {
    word.strip_prefix('v').is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit()))
}

/// `127.0.0.1:54321` loses its port.
fn without_ports(line: &str) -> String {
    const ADDRESS: &str = "127.0.0.1:";
    let mut pieces = line.split(ADDRESS);
    let mut plain = pieces.next().unwrap_or_default().to_owned();
    for piece in pieces {
        plain.push_str(ADDRESS);
        plain.push_str("PORT");
        plain.push_str(piece.trim_start_matches(|c: char| c.is_ascii_digit()));
    }
    plain
}

/// `since 2026-01-02T03:04:05Z: cause` loses the date and the cause, which are the system's.
fn without_dates(line: &str) -> String {
    const FORM: &str = "0000-00-00T00:00:00Z";
    let is_date = |at: usize| {
        let part = line.as_bytes().get(at..at + FORM.len());
        part.is_some_and(|part| {
            part.iter()
                .zip(FORM.bytes())
                .all(|(byte, form)| *byte == form || (form == b'0' && byte.is_ascii_digit()))
        })
    };
    let Some(at) = (0..line.len()).find(|at| is_date(*at)) else { return line.to_owned() };
    let (head, rest) = (&line[..at], &line[at + FORM.len()..]);
    // Behind a cause some clients say the status once more.
    let rest = match (rest.starts_with(':'), rest.rfind(" - ")) {
        (true, Some(end)) => format!(": CAUSE{}", &rest[end..]),
        (true, None) => ": CAUSE".to_owned(),
        (false, _) => rest.to_owned(),
    };
    format!("{head}DATE{rest}")
}
