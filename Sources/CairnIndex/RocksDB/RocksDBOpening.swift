// Part of Cairn, a content-addressed blob store.

/// One attempt to open an index.
///
/// Changes nothing on disk before it knows what it has found.
struct RocksDBOpening {
    let path: String
    let tables: [IndexTable]
    let configuration: RocksDBConfiguration

    func run() throws(IndexError) -> RocksDBIndex {
        try checkArguments()
        if try Directories.exists(path) {
            try checkTables()
        } else if configuration.createIfMissing {
            try create()
        } else {
            throw IndexError(.notFound, "there is no index at \(path)")
        }
        let options = try RocksDBOptions(configuration, tables: tables)
        let database = try RocksDBDatabase(path: path, tables: tables, options: options)
        let numbers = tables.enumerated().map { ($0.element.name, $0.offset) }
        let engine = RocksDBEngine(
            database, path: path, flushByteCount: configuration.flushByteCount)
        return RocksDBIndex(
            engine: engine,
            tables: Dictionary(uniqueKeysWithValues: numbers))
    }

    // MARK: -

    private func checkArguments() throws(IndexError) {
        let names = tables.map(\.name)
        let lengths = 1...IndexTable.nameByteCountMax
        guard tables.count <= IndexLimits.tableCountMax,
            Set(names).count == names.count,
            !names.contains(RocksDBOptions.defaultTable.name),
            names.allSatisfy({ lengths.contains($0.utf8.count) && !$0.utf8.contains(0) })
        else {
            throw IndexError(
                .invalidArgument, "tables need distinct names of \(lengths) bytes: \(names)")
        }
        guard !path.isEmpty, !path.utf8.contains(0) else {
            throw IndexError(.invalidArgument, "an index needs a path")
        }
    }

    /// A later version's tables must not be opened blindly: the rules between them are unknown.
    private func checkTables() throws(IndexError) {
        let known = Set(tables.map(\.name) + [RocksDBOptions.defaultTable.name])
        let unknown = try RocksDBDatabase.tableNames(path: path).filter { !known.contains($0) }
        guard unknown.isEmpty else {
            throw IndexError(
                .unsupportedVersion,
                "the index at \(path) has tables of a later version: \(unknown.sorted())")
        }
    }

    /// Creates the database elsewhere and moves it into place when it is complete and durable.
    ///
    /// In the strictest model of crashes, RocksDB's first opening of a directory can leave a
    /// `CURRENT` file whose manifest has no directory entry yet. So a crash here leaves either
    /// nothing under `path` or a whole database; the debris of an earlier attempt is removed.
    private func create() throws(IndexError) {
        let temporary = path + ".creating"
        try Directories.remove(temporary)
        try Directories.create(temporary)
        let options = try RocksDBOptions(configuration, tables: tables)
        options.allowCreation()
        do {
            let database = try RocksDBDatabase(path: temporary, tables: tables, options: options)
            try database.syncLog()
        }
        try Directories.move(temporary, to: path)
    }
}
