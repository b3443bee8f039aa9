// Part of Cairn, a content-addressed blob store.

import ArgumentParser
import BenchmarkSupport
import Foundation

/// What this program does.
@main
struct Root: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "ComparisonBenchmarks",
        abstract: "Measure Cairn beside the tools that set the pace on the same machine.",
        subcommands: [ComparisonCommand.self, PhaseCommand.self],
        defaultSubcommand: ComparisonCommand.self)
}

/// Runs all contestants and prints how they compare.
///
/// Every round runs each contestant once, in turn, in a process of its own and on the same file,
/// so that a machine whose speed drifts drifts for all of them. Medians and ratios are printed.
struct ComparisonCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "compare",
        abstract: "Compare Cairn with openssl and plain files, round by round.",
        discussion: """
            Blobs: openssl dgst -sha256, a sequential write with fdatasync (dd), ingest, ingest \
            of stored bytes, and reading back. Commits: small blobs by many writers against a \
            file, fsync, rename and fsync of the directory for each.
            """)

    @Option(help: "Bytes of the blob, in MiB.")
    var mebibytes = 256

    @Option(help: "Rounds; medians are printed.")
    var rounds = 5

    @Option(help: "Blobs of each commit workload.")
    var commits = 2000

    @Option(help: "Concurrent writers of the commit workloads.")
    var writers = 32

    @Option(help: "What the blob is made of: opaque or text.")
    var content = Content.opaque

    @Option(help: "Where to work: a directory with room for four times the blob.")
    var directory = NSTemporaryDirectory()

    func validate() throws {
        guard mebibytes >= 1, rounds >= 1, commits >= writers, writers >= 1 else {
            throw ValidationError("all counts are positive, and commits at least writers")
        }
    }

    func run() async throws {
        let work = directory + "/cairn-comparison-\(ProcessInfo.processInfo.processIdentifier)"
        try FileManager.default.createDirectory(
            atPath: work, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(atPath: work) }
        let source = try SourceFile(
            path: work + "/source", content: content, byteCount: mebibytes << 20)
        var blobs = Series()
        var puts = Series()
        for round in 0..<rounds {
            try runBlobs(source, work, round, &blobs)
            try runCommits(work, round, &puts)
        }
        printMachine()
        print(
            "\n\(mebibytes) MiB of \(content) bytes, \(rounds) rounds, warm page cache, durable\n")
        print(Report.table(blobs, against: ["openssl", "write + fdatasync"]))
        print("\(commits) blobs by \(writers) writers\n")
        print(Report.rates(puts, count: commits))
        for (name, value) in blobs.notes { print("\(name): \(value)") }
    }

    private func runBlobs(
        _ source: SourceFile, _ work: String, _ round: Int, _ series: inout Series
    ) throws {
        let store = work + "/store-\(round)"
        let copy = work + "/copy"
        defer { for path in [store, copy] { try? FileManager.default.removeItem(atPath: path) } }
        series.add(
            "openssl", try Child.measure("openssl", ["dgst", "-sha256", source.path]))
        series.add(
            "write + fdatasync",
            try Child.measure(
                "dd",
                ["if=\(source.path)", "of=\(copy)", "bs=4M", "conv=fdatasync", "status=none"]))
        for phase in [Phase.ingest, .reingest, .read] {
            let result = try Child.phase(phase, store: store, source: source.path)
            series.add(phase.title, result)
            if let stored = result.storedByteCount {
                let ratio = Double(stored) / Double(source.byteCount)
                series.notes["stored bytes over payload, index included"] = ratio.formatted(4)
            }
        }
    }

    private func runCommits(_ work: String, _ round: Int, _ series: inout Series) throws {
        let path = work + "/commits-\(round)"
        for phase in [Phase.files64, .puts64, .files2, .puts2] {
            defer { try? FileManager.default.removeItem(atPath: path) }
            series.add(
                phase.title,
                try Child.phase(phase, store: path, count: commits, writers: writers))
        }
    }

    private func printMachine() {
        let processor = try? String(contentsOfFile: "/proc/cpuinfo", encoding: .utf8)
            .split(separator: "\n").first { $0.hasPrefix("model name") }?
            .split(separator: ":").last?.trimmingCharacters(in: .whitespaces)
        let openssl = try? Child.output("openssl", ["version"])
        print("processor: \((processor ?? nil) ?? "unknown")")
        print("openssl: \(openssl ?? "unknown")")
    }
}
