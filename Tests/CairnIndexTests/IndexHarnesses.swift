// Part of Cairn, a content-addressed blob store.
import CairnIndex
import CairnTestSupport
import CairnTesting
import Foundation
import Synchronization
import Testing

/// The bytes of all files of an index, apart from the text log and the lock.
func contents(of directory: String) throws -> [String: Data] {
    var files: [String: Data] = [:]
    for name in try FileManager.default.contentsOfDirectory(atPath: directory)
    where !name.hasPrefix("LOG") && name != "LOCK" {
        files[name] = FileManager.default.contents(atPath: "\(directory)/\(name)")
    }
    return files
}

/// RocksDB in scratch directories.
///
/// A crash is a copy of the files of the open index.
final class RocksDBHarness: IndexHarness {
    private let scratch: TemporaryDirectory
    private let paths = Mutex<[ObjectIdentifier: String]>([:])
    private let configuration: RocksDBConfiguration

    init(_ configuration: RocksDBConfiguration = .init()) throws {
        scratch = try TemporaryDirectory()
        self.configuration = configuration
    }

    func makeIndex(tables: [IndexTable]) throws -> any Index {
        try open(scratch.fresh(), tables)
    }

    func reopen(_ index: any Index, tables: [IndexTable]) throws -> any Index {
        try index.close()
        return try open(path(of: index), tables)
    }

    func crash(_ index: any Index, tables: [IndexTable]) throws -> any Index {
        try open(copy(of: index), tables)
    }

    /// Copies the files of an open index, as a kill at this moment would leave them.
    func copy(of index: any Index) throws -> String {
        let source = try path(of: index)
        while true {
            // Background work may add and remove files; a copy during that is no moment's state.
            let copy = scratch.fresh("crashed")
            let names = try contents(of: source).keys
            let isCopied = (try? FileManager.default.copyItem(atPath: source, toPath: copy)) != nil
            if try isCopied && contents(of: source).keys == names { return copy }
        }
    }

    func path(of index: any Index) throws -> String {
        try #require(paths.withLock { $0[ObjectIdentifier(index as AnyObject)] })
    }

    private func open(_ path: String, _ tables: [IndexTable]) throws -> any Index {
        let index = try RocksDBIndex.open(
            path: path, tables: tables, configuration: configuration)
        paths.withLock { $0[ObjectIdentifier(index)] = path }
        return index
    }
}

/// The index in memory.
///
/// A crash loses what its seed says.
struct InMemoryHarness: IndexHarness {
    var seed: UInt64 = 1

    func makeIndex(tables: [IndexTable]) throws -> any Index { InMemoryIndex(tables: tables) }

    func reopen(_ index: any Index, tables: [IndexTable]) throws -> any Index {
        try index.close()
        return try #require(index as? InMemoryIndex).reopened(tables: tables)
    }

    func crash(_ index: any Index, tables: [IndexTable]) throws -> any Index {
        try #require(index as? InMemoryIndex).crash(seed: seed)
    }
}

extension RocksDBHarness {
    /// Flushes at every commit, so that reads go to files.
    static var tiny: RocksDBConfiguration {
        var configuration = RocksDBConfiguration()
        configuration.flushByteCount = 1
        return configuration
    }
}
