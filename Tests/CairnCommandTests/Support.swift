// Part of Cairn, a content-addressed blob store.
import Foundation

/// The digest of `abc`, of NIST FIPS 180-4.
let abcDigest = "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"

/// The digest of nothing that is stored anywhere.
let absentDigest = "sha256:" + String(repeating: "0", count: 64)

/// Whether tests that take long are wanted.
let isLong = ProcessInfo.processInfo.environment["CAIRN_LONG_TESTS"] == "1"

/// Bytes that do not compress, the same on each call.
func noise(_ byteCount: Int) -> [UInt8] {
    // Knuth's MMIX generator; the seed is the byte count.
    var state = UInt64(byteCount)
    return (0..<byteCount).map { _ in
        state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
        return UInt8(truncatingIfNeeded: state >> 56)
    }
}

/// The bytes of a file.
func read(_ path: String) throws -> [UInt8] {
    try [UInt8](Data(contentsOf: URL(fileURLWithPath: path)))
}

/// Stores noise in `app/web` and answers its digest.
func putNoise(_ tool: CairnTool, _ byteCount: Int) async throws -> String {
    let put = try await tool.succeed("put", "app/web", "-", input: noise(byteCount))
    return String(put.text.prefix { $0 != " " })
}

/// Changes bytes in the middle of the data of the largest file of the store.
func damage(_ store: String) throws {
    let files = FileManager.default.enumerator(atPath: store)?.compactMap { $0 as? String } ?? []
    let sized = files.map { name -> (path: String, byteCount: Int) in
        let path = store + "/" + name
        let attributes = try? FileManager.default.attributesOfItem(atPath: path)
        let isFile = attributes?[.type] as? FileAttributeType == .typeRegular
        return (path, isFile ? attributes?[.size] as? Int ?? 0 : 0)
    }
    guard let largest = sized.max(by: { $0.byteCount < $1.byteCount }) else { return }
    let handle = try FileHandle(forUpdating: URL(fileURLWithPath: largest.path))
    defer { try? handle.close() }
    // Past every header, inside the first mebibyte that was written.
    try handle.seek(toOffset: 300_000)
    let bytes = try handle.read(upToCount: 64) ?? Data()
    try handle.seek(toOffset: 300_000)
    try handle.write(contentsOf: Data(bytes.map { $0 ^ 0xFF }))
    try handle.synchronize()
}

/// The process whose environment names the store, found through `/proc`.
func processes(naming store: String) throws -> [Int32] {
    try FileManager.default.contentsOfDirectory(atPath: "/proc").compactMap(Int32.init).filter {
        let name = (try? read("/proc/\($0)/comm")) ?? []
        let environment = (try? read("/proc/\($0)/environ")) ?? []
        return String(decoding: name, as: UTF8.self) == "cairn\n"
            && String(decoding: environment, as: UTF8.self).contains("CAIRN_STORE=\(store)")
    }
}

/// The most memory that the process had in use at any time.
func peakKibibytes(ofProcessNaming store: String) throws -> Int {
    let number = try processes(naming: store)[0]
    let status = String(decoding: try read("/proc/\(number)/status"), as: UTF8.self)
    let line = status.split(separator: "\n").first { $0.hasPrefix("VmHWM:") } ?? ""
    return line.split(separator: " ").compactMap { Int($0) }.first ?? .max
}

/// The JSON object in a line of text.
func object(_ text: String) throws -> [String: Any] {
    try JSONSerialization.jsonObject(with: Data(text.utf8)) as? [String: Any] ?? [:]
}

/// A server on the tool's store, which accepts connections.
func serving(_ tool: CairnTool) async throws -> BackgroundProcess {
    let server = try BackgroundProcess(tool, ["serve", "--listen", "127.0.0.1:0", "--json"])
    _ = await server.firstLine()
    return server
}
