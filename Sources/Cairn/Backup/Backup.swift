// Part of Cairn, a content-addressed blob store.

internal import CairnCore
internal import CairnIndex
internal import CairnSegments

/// One backup under way.
///
/// The index first: what its rows name is in segments already then, and no segment is removed
/// while the backup holds its pin. The marker last: what has none is no store.
struct Backup {
    private static let copiedByteCount = 4 << 20

    private let engine: Engine
    private let target: any Disk
    private let index: String
    private var report = BackupReport()

    init(engine: Engine, target: any Disk, index: String) {
        self.engine = engine
        self.target = target
        self.index = index
    }

    mutating func run(includesKeyFile: Bool) async throws(StoreError) -> BackupReport {
        let pin = engine.segmentPins.pin()
        defer { withExtendedLifetime(pin) {} }
        try engine.checkOpen()
        let engine = engine
        let (target, index) = (target, index)
        let (copied, summaries) = try await engine.pool.run { [self] (_) throws(StoreError) in
            var backup = self
            try Self.prepare(target)
            try backup.copyIndexAndCatalogue(index)
            let summaries = try lower(
                "listing segments",
                segments: { () throws(SegmentError) in
                    // What the copied rows name is in the files then.
                    try engine.segments.sync()
                    return try engine.segments.segments()
                })
            return (backup.report, summaries)
        }
        report = copied
        for summary in summaries {
            try engine.checkCancellation("the backup")
            report = try await engine.pool.run { [self] (_) throws(StoreError) in
                var backup = self
                try backup.copy(summary)
                return backup.report
            }
        }
        report = try await engine.pool.run { [self] (_) throws(StoreError) in
            var backup = self
            try backup.finish(includesKeyFile)
            return backup.report
        }
        return report
    }

    // MARK: -

    private static func prepare(_ target: any Disk) throws(StoreError) {
        let isEmpty = try lower(
            "looking into the directory of the backup",
            disk: { () throws(DiskError) in
                try target.list("").isEmpty
            })
        guard isEmpty else {
            throw StoreError(.invalidArgument, "the directory of the backup is not empty")
        }
        try lower(
            "preparing the directory of the backup",
            disk: { () throws(DiskError) in
                try target.createDirectory(StoreFormat.segments)
                try target.createDirectory(StoreFormat.catalogue)
            })
    }

    // As of the same moment: each tells what the other must have.
    private mutating func copyIndexAndCatalogue(_ index: String) throws(StoreError) {
        let engine = engine
        report = try engine.catalogue.withFiles(
            freezing: { () throws(StoreError) in
                try lower(
                    "copying the index",
                    index: { () throws(IndexError) in
                        try engine.index.checkpoint(to: index)
                    })
            },
            { (names, endOfLast) throws(StoreError) in
                var backup = self
                for (offset, name) in names.enumerated() {
                    let isLast = offset == names.count - 1
                    try backup.take(
                        "\(StoreFormat.catalogue)/\(name)", upTo: isLast ? endOfLast : nil)
                }
                return backup.report
            })
    }

    private mutating func copy(_ summary: SegmentSummary) throws(StoreError) {
        let path = "\(StoreFormat.segments)/\(summary.number).segment"
        report.segmentCount += 1
        // One that is being written ends, in the copy, where it ends now.
        try take(path, upTo: summary.isSealed ? nil : summary.byteCount)
    }

    private mutating func finish(_ includesKeyFile: Bool) throws(StoreError) {
        // A keyring is replaced, never changed.
        try take(StoreFormat.keyring)
        if includesKeyFile { try takeKeyFile() }
        try lower(
            "finishing the backup",
            disk: { () throws(DiskError) in
                for directory in [StoreFormat.segments, StoreFormat.catalogue, ""] {
                    try target.syncDirectory(directory)
                }
            })
        try lower(
            "finishing the backup",
            disk: { () throws(DiskError) in
                let marker = try engine.disk.readAll(
                    StoreFormat.marker, upTo: StoreFormat.markerByteCountMax)
                try target.replace(StoreFormat.marker, with: marker.span)
            })
    }

    private mutating func takeKeyFile() throws(StoreError) {
        let exists = try lower(
            "looking for the key file",
            disk: { () throws(DiskError) in
                try engine.disk.exists(StoreFormat.keyFile)
            })
        guard exists else { return }
        try copyBytes(of: StoreFormat.keyFile, upTo: .max)
        report.includesKeyFile = true
    }

    /// Links a file that never changes, or copies it.
    ///
    /// - Parameter end: where to end a file that may still grow; nil for one that never changes.
    private mutating func take(_ path: String, upTo end: UInt64? = nil) throws(StoreError) {
        if let end { return try copyBytes(of: path, upTo: end) }
        let isLinked = try lower(
            "linking \(path)",
            disk: { () throws(DiskError) in
                try engine.disk.link(path, into: target)
            })
        guard isLinked else { return try copyBytes(of: path, upTo: .max) }
        report.linkedByteCount += try lower(
            "linking \(path)",
            disk: { () throws(DiskError) in
                let file = try target.open(path, .read)
                defer { file.close() }
                return try file.byteCount()
            })
    }

    private mutating func copyBytes(of path: String, upTo end: UInt64) throws(StoreError) {
        report.copiedByteCount += try lower(
            "copying \(path)",
            disk: { () throws(DiskError) in
                let source = try engine.disk.open(path, .read)
                defer { source.close() }
                let copy = try target.open(path, .create)
                defer { copy.close() }
                let end = min(end, try source.byteCount())
                var offset: UInt64 = 0
                var buffer = [UInt8](repeating: 0, count: Self.copiedByteCount)
                while offset < end {
                    let wanted = Int(min(UInt64(buffer.count), end - offset))
                    var span = buffer.mutableSpan
                    var part = span.part(0..<wanted)
                    let count = try source.read(into: &part, at: offset)
                    guard count > 0 else { break }
                    try copy.write(buffer.span.extracting(..<count), at: offset)
                    offset += UInt64(count)
                }
                try copy.sync()
                return offset
            })
    }
}
