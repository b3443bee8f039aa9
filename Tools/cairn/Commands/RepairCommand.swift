// Part of Cairn, a content-addressed blob store.
internal import ArgumentParser
internal import Cairn
internal import CairnCore
internal import CairnServer

/// Builds the index of a store anew.
struct RepairCommand: StoreCommand {
    static let configuration = CommandConfiguration(
        commandName: "repair",
        abstract: "Build the index anew from the segments and the catalogue.",
        discussion: """
            For a store whose index is lost or damaged; stop the server first. Reads every \
            segment once. The old index is kept as index.old, to be removed by hand. Upload \
            sessions that were open are gone. Names the blobs whose bytes are lost: storing the \
            same bytes again cures them. The exit code is 5 when a blob is lost, or when it is \
            not certain that the latest changes are there.
            """)

    @OptionGroup var options: StoreOptions

    func perform() async throws {
        let report = try await Store.repair(at: options.directory, unlock: options.unlock())
        try print(report)
        guard report.lostBlobs.isEmpty else {
            throw CommandFailure(
                code: "unsound", message: "\(report.lostBlobs.count) blobs are lost")
        }
        guard report.isComplete else {
            throw CommandFailure(
                code: "unsound",
                message: "the latest changes before the loss may be missing")
        }
    }

    private func print(_ report: RepairReport) throws {
        if options.json { return try Output.json(Document.Repaired(report)) }
        for blob in report.lostBlobs { try Output.line("lost: \(blob.bucket) \(blob.digest)") }
        try Output.table([
            ("names from", Document.Repaired.name(of: report.source)),
            ("blobs", "\(report.blobCount)"),
            ("chunks found", "\(report.chunkCount)"),
            ("chunks lost", "\(report.lostChunkCount)"),
            ("damaged places", "\(report.damagedRangeCount)"),
            ("blobs lost", "\(report.lostBlobs.count)"),
        ])
    }
}

extension Document {
    /// What a repair could rebuild.
    struct Repaired: Encodable {
        var source: String
        var isComplete: Bool
        var blobCount: UInt64
        var chunkCount: UInt64
        var lostChunkCount: UInt64
        var damagedRangeCount: UInt64
        var lostBlobs: [DamagedBlobInfo]

        init(_ report: RepairReport) {
            source = Self.name(of: report.source)
            isComplete = report.isComplete
            blobCount = report.blobCount
            chunkCount = report.chunkCount
            lostChunkCount = report.lostChunkCount
            damagedRangeCount = report.damagedRangeCount
            lostBlobs = report.lostBlobs.map {
                DamagedBlobInfo(
                    account: $0.account, bucket: $0.bucket, digest: $0.digest.description)
            }
        }

        static func name(of source: RepairReport.Source) -> String {
            switch source {
            case .catalogue: "catalogue"
            case .index: "index"
            case .incomplete: "incomplete"
            }
        }
    }
}
