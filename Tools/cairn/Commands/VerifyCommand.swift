// Part of Cairn, a content-addressed blob store.
internal import ArgumentParser
internal import CairnServer

/// Verifies the store.
struct VerifyCommand: StoreCommand {
    static let configuration = CommandConfiguration(
        commandName: "verify",
        abstract: "Verify that everything stored is there and unharmed.",
        discussion: """
            Names each problem on a line of its own. Exit code 0 means that the store is sound, \
            5 that it is not.
            """)

    @OptionGroup var options: StoreOptions

    @Flag(help: "Check the structure only; do not read every stored byte.")
    var quick = false

    func perform() async throws {
        let report = try await withAccess { access in
            let progress = ProgressBar(
                "verify", totalByteCount: nil, isWanted: !options.noProgress)
            defer { progress.clear() }
            return try await access.verify(quick ? .structure : .full) { state in
                progress.update { line in
                    line.byteCount = state.checkedByteCount
                    let total = state.totalBlobCount.map { " of \($0)" } ?? ""
                    line.note = "\(state.checkedBlobCount)\(total) blobs"
                }
            }
        }
        try print(report)
        guard report.isSound else {
            let count = report.problems.count
            throw CommandFailure(
                code: "unsound",
                message: "the store in \(options.directory) has "
                    + "\(count) problem\(count == 1 ? "" : "s")")
        }
    }

    private func print(_ report: VerifyInfo) throws {
        if options.json { return try Output.json(report) }
        for problem in report.problems { try Output.line(problem) }
        if report.unusedDamageCount > 0 {
            try Output.line(
                "Damaged places that nothing needs: \(report.unusedDamageCount). Nothing is lost "
                    + "there; a power cut leaves such, and compaction removes them.")
        }
        if report.isSound {
            let bytes = Quantity.bytes(report.checkedByteCount)
            try Output.line("Sound: \(report.checkedBlobCount) blobs, \(bytes) checked.")
        }
    }
}
