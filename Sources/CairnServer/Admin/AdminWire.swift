// Part of Cairn, a content-addressed blob store.
internal import FoundationEssentials

// What goes over the admin socket: HTTP/1.1 with parameters in the query and JSON in the bodies.
//
//   GET    /v1/information                          -> ServerInfo
//   GET    /v1/buckets?after&limit                  -> [BucketInfo]
//   GET    /v1/bucket?bucket                        -> BucketInfo   (DELETE deletes, also what is
//                                                     in it with contents=delete)
//   POST   /v1/bucket?bucket&key&deduplication      -> BucketInfo, created
//   POST   /v1/keys                                 KeyRequest -> KeyAnswer
//   POST   /v1/objects                              ObjectRequest -> ObjectAnswer
//   POST   /v1/usage                                UsageRequest -> UsageAnswer
//   POST   /v1/object?put                           bytes -> ObjectInfo, `put` is an ObjectPut
//   GET    /v1/blobs?bucket&after&limit             -> BlobListing
//   GET    /v1/blob?bucket&digest                   -> BlobInfo       (DELETE deletes)
//   POST   /v1/mount?bucket&digest&from             -> BlobInfo
//   POST   /v1/bytes?bucket&expecting&byteCount     bytes -> BlobInfo
//   GET    /v1/bytes?bucket&digest&first&end        -> frames (AdminFrame)
//   GET    /v1/uploads?bucket&after&limit           -> [UploadInfo]
//   DELETE /v1/upload?bucket&upload
//   GET    /v1/statistics                           -> StatisticsInfo
//   POST   /v1/sweep?preview                        -> SweepInfo
//   GET    /v1/keepers?digest                       -> KeepersInfo
//   POST   /v1/scrub                                -> ScrubInfo
//   POST   /v1/backup?path&keyFile                  -> BackupInfo
//   POST   /v1/verify?depth                         -> VerifyLine, one per line
//
// An error is an AdminFault with status 400 (of the request) or 500 (of the store).
enum AdminPath: String, CaseIterable {
    case information, buckets, bucket, blobs, blob, mount, bytes, uploads, upload, statistics
    case verify, sweep, scrub, keepers, backup, keys, objects, object, usage

    /// The prefix names the version of the whole interface.
    static let prefix = "/v1/"
}

/// An error as it travels.
struct AdminFault: Codable, Sendable {
    var code: String
    var message: String

    init(_ error: AdminError) {
        code = error.code.name
        message = error.message
    }

    var error: AdminError { AdminError(AdminError.Code(name: code), message) }
}

/// One line of a running verification; exactly one field is set, the last line has no progress.
struct VerifyLine: Codable, Sendable {
    var progress: VerifyProgressInfo?
    var report: VerifyInfo?
    var fault: AdminFault?
}

/// How a streamed blob ends; exactly one field is set.
struct AdminTrailer: Codable, Sendable {
    var blob: BlobInfo?
    var fault: AdminFault?
}

enum AdminJSON {
    static func encode(_ value: some Encodable) -> [UInt8] {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        // The values are plain structs of text and integers, which always encode.
        guard let data = try? encoder.encode(value) else { return [] }
        return Array(data)
    }

    static func decode<Value: Decodable>(
        _ type: Value.Type, from bytes: [UInt8]
    ) throws(AdminError) -> Value {
        do {
            return try JSONDecoder().decode(type, from: Data(bytes))
        } catch {
            throw AdminError(
                .protocolViolation, "The server's answer is not understood.", cause: error)
        }
    }
}

// stream := frame* end          (a stream that breaks off has no end, whatever HTTP thinks)
// frame  := byteCount:u32le (1...1 MiB) bytes[byteCount]
// end    := 0:u32le AdminTrailer as JSON
enum AdminFrame {
    static let headerByteCount = 4
    static let byteCountMax = 1 << 20
    /// A trailer holds one description or one message.
    static let trailerByteCountMax = 64 * 1024

    static func header(byteCount: Int) -> [UInt8] {
        let value = UInt32(clamping: byteCount)
        return (0..<headerByteCount).map { UInt8(truncatingIfNeeded: value >> (8 * $0)) }
    }
}

/// Takes a stream of frames apart, however HTTP cut it.
struct AdminFrameReader {
    private var header: [UInt8] = []
    private var payload: [UInt8] = []
    private var missingByteCount = 0
    private var isInTrailer = false

    /// Consumes bytes and appends the whole frames that they complete.
    mutating func read(
        _ bytes: Span<UInt8>, into frames: inout [[UInt8]]
    ) throws(AdminError) {
        var offset = 0
        while offset < bytes.count {
            if isInTrailer || missingByteCount > 0 {
                let rest = bytes.count - offset
                let count = isInTrailer ? rest : min(missingByteCount, rest)
                let part = bytes.extracting(offset..<offset + count)
                for index in part.indices { payload.append(part[index]) }
                offset += count
                if !isInTrailer { finishFrame(count, &frames) }
            } else {
                header.append(bytes[offset])
                offset += 1
                try startFrame()
            }
        }
        guard !isInTrailer || payload.count <= AdminFrame.trailerByteCountMax else {
            throw Self.malformed
        }
    }

    /// How the stream ended.
    func trailer() throws(AdminError) -> AdminTrailer {
        guard isInTrailer, !payload.isEmpty else {
            throw AdminError(.unreachable, "The connection to the server broke off.")
        }
        return try AdminJSON.decode(AdminTrailer.self, from: payload)
    }

    // MARK: -

    private static var malformed: AdminError {
        AdminError(.protocolViolation, "The server's stream is not understood.")
    }

    private mutating func startFrame() throws(AdminError) {
        guard header.count == AdminFrame.headerByteCount else { return }
        let byteCount = header.reversed().reduce(UInt32(0)) { $0 << 8 | UInt32($1) }
        guard byteCount <= AdminFrame.byteCountMax else { throw Self.malformed }
        header.removeAll(keepingCapacity: true)
        missingByteCount = Int(byteCount)
        isInTrailer = byteCount == 0
        payload.reserveCapacity(missingByteCount)
    }

    private mutating func finishFrame(_ byteCount: Int, _ frames: inout [[UInt8]]) {
        missingByteCount -= byteCount
        guard missingByteCount == 0 else { return }
        frames.append(payload)
        payload = []
    }
}
