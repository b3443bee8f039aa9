// Part of Cairn, a content-addressed blob store.
internal import CRocksDB

/// What an embedder may tune about ``RocksDBIndex``.
public struct RocksDBConfiguration: Hashable, Sendable {
    /// Whether an index is created where there is none.
    ///
    /// True unless told otherwise.
    public var createIfMissing = true
    /// Bytes of memory for blocks, their indexes and their filters, shared by all tables.
    ///
    /// A filter takes about a byte per row: look-ups of absent keys stay out of the disk as long as
    /// the filters fit. 64 MiB unless told otherwise.
    public var cacheByteCount = 64 << 20
    /// Bytes of writes after which memory is flushed into files.
    ///
    /// Bounds memory (about four times as much for tiny rows), the log, and thus the time that
    /// opening after a crash takes. 8 MiB unless told otherwise.
    public var flushByteCount = 8 << 20

    /// The defaults.
    public init() {}
}

/// The options of the database and of each table, in the form the C interface wants.
///
/// This file is the only place where RocksDB is tuned. Not thread-safe; used while opening.
@safe final class RocksDBOptions {
    let database: OpaquePointer
    private(set) var tables: [OpaquePointer]
    private let cache: OpaquePointer

    init(_ configuration: RocksDBConfiguration, tables: [IndexTable]) throws(IndexError) {
        let database = unsafe try Self.makeDatabaseOptions()
        let cache = unsafe Self.makeCache(configuration)
        unsafe self.database = database
        unsafe self.cache = cache
        unsafe self.tables = ([Self.defaultTable] + tables).map { table in
            unsafe Self.makeTableOptions(table, database, cache)
        }
    }

    deinit {
        unsafe tables.forEach { unsafe rocksdb_options_destroy($0) }
        unsafe rocksdb_options_destroy(database)
        unsafe rocksdb_cache_destroy(cache)
    }

    /// Allows the database to be created: only ever inside a temporary directory.
    func allowCreation() {
        unsafe rocksdb_options_set_create_if_missing(database, 1)
        unsafe rocksdb_options_set_error_if_exists(database, 1)
    }

    /// The table that every RocksDB database has.
    ///
    /// Cairn keeps nothing in it.
    static let defaultTable = IndexTable("default", .small)

    // MARK: -

    private static func makeCache(_ configuration: RocksDBConfiguration) -> OpaquePointer {
        let options = unsafe rocksdb_lru_cache_options_create()
        defer { unsafe rocksdb_lru_cache_options_destroy(options) }
        unsafe rocksdb_lru_cache_options_set_capacity(options, configuration.cacheByteCount)
        // 16 shards. More would make a shard of the default cache too small for a filter of a MiB.
        unsafe rocksdb_lru_cache_options_set_num_shard_bits(options, 4)
        return unsafe rocksdb_cache_create_lru_opts(options)
    }

    private static func makeDatabaseOptions() throws(IndexError) -> OpaquePointer {
        let base = unsafe rocksdb_options_create()
        defer { unsafe rocksdb_options_destroy(base) }
        let options = unsafe rocksdb_options_create() as OpaquePointer
        var message: RocksDBMessage?
        // What the C interface has no setter for: without this, a log would reserve the size of a
        // write buffer ahead of its end, and its syncs are no faster for it.
        unsafe rocksdb_get_options_from_string(
            base, "allow_fallocate=false", options,
            &message)
        do throws(IndexError) {
            unsafe try check(message, "set the options of RocksDB")
        } catch {
            unsafe rocksdb_options_destroy(options)
            throw error
        }
        unsafe setDurability(options)
        unsafe setBounds(options)
        return unsafe options
    }

    private static func setDurability(_ options: OpaquePointer) {
        unsafe rocksdb_options_set_create_if_missing(options, 0)
        // A table that a later version of Cairn added appears here and nowhere else.
        unsafe rocksdb_options_set_create_missing_column_families(options, 1)
        unsafe rocksdb_options_set_paranoid_checks(options, 1)
        // Point in time: the log is replayed up to the first damaged record, so that a torn tail
        // costs only what was not synced, and never leaves a gap.
        unsafe rocksdb_options_set_wal_recovery_mode(
            options, CInt(rocksdb_point_in_time_recovery))
        // Commits gather in memory and reach the file with the next sync. Saves a system call, 2 of
        // 7 µs per small commit; a killed process loses what was not synced, as a power cut does.
        unsafe rocksdb_options_set_manual_wal_flush(options, 1)
        // When RocksDB makes up for a full disk, all tables reach the disk together. One by one, a
        // crash in between would leave some ahead of a log whose end is torn.
        unsafe rocksdb_options_set_atomic_flush(options, 1)
    }

    private static func setBounds(_ options: OpaquePointer) {
        // Of the 20,000 descriptors a process may have; 512 files of 64 MiB hold 400 million rows.
        unsafe rocksdb_options_set_max_open_files(options, 512)
        // One flush and one compaction at a time: the processors belong to the store's workers.
        unsafe rocksdb_options_set_max_background_jobs(options, 2)
        // Files are written back steadily instead of in one burst that delays a sync of the log.
        unsafe rocksdb_options_set_bytes_per_sync(options, 1 << 20)
        // The manifest is rewritten before replaying it takes noticeable time, and does not reserve
        // 4 MiB ahead.
        unsafe rocksdb_options_set_max_manifest_file_size(options, 16 << 20)
        unsafe rocksdb_options_set_manifest_preallocation_size(options, 64 << 10)
        // Nothing is written to the text log: when that fails, the next message ends the process
        // (an assertion of RocksDB 7.8, which Debian's build has kept). One more than the highest
        // level; empty files of the last four openings are left.
        unsafe rocksdb_options_set_info_log_level(options, 6)
        unsafe rocksdb_options_set_keep_log_file_num(options, 4)
        unsafe rocksdb_options_set_stats_dump_period_sec(options, 0)
        unsafe rocksdb_options_set_stats_persist_period_sec(options, 0)
        // Opening must not cost a read per file.
        unsafe rocksdb_options_set_skip_stats_update_on_db_open(options, 1)
    }

    private static func makeTableOptions(
        _ table: IndexTable, _ database: OpaquePointer, _ cache: OpaquePointer
    ) -> OpaquePointer {
        let options = unsafe rocksdb_options_create_copy(database) as OpaquePointer
        // Never reached: the index flushes when all tables together hold `flushByteCount`. A flush
        // that RocksDB chose would switch logs before the old one is synced.
        unsafe rocksdb_options_set_write_buffer_size(options, 256 << 20)
        // Two flushes may be under way before the next one has to wait for them.
        unsafe rocksdb_options_set_max_write_buffer_number(options, 4)
        // A table that holds a few rows takes this much, not an eighth of the buffer.
        unsafe rocksdb_options_set_arena_block_size(options, 64 << 10)
        // Values are sealed or random, keys are mostly digests: compression finds nothing.
        unsafe rocksdb_options_set_compression(options, CInt(rocksdb_no_compression))
        // Space amplification near 1.1 at any size.
        unsafe rocksdb_options_set_level_compaction_dynamic_level_bytes(options, 1)
        // Four flushes are merged at a time; the first level takes two such merges.
        unsafe rocksdb_options_set_max_bytes_for_level_base(options, 64 << 20)
        unsafe rocksdb_options_set_target_file_size_base(options, 64 << 20)
        unsafe setBlocks(options, table.profile, cache)
        return unsafe options
    }

    private static func setBlocks(
        _ options: OpaquePointer, _ profile: IndexTable.Profile, _ cache: OpaquePointer
    ) {
        let blocks = unsafe rocksdb_block_based_options_create()
        defer { unsafe rocksdb_block_based_options_destroy(blocks) }
        unsafe rocksdb_block_based_options_set_block_cache(blocks, cache)
        // Format 5 is read by RocksDB 6.6 and later; xxh3 is its fastest checksum.
        unsafe rocksdb_block_based_options_set_format_version(blocks, 5)
        unsafe rocksdb_block_based_options_set_checksum(blocks, CChar(4))
        // Indexes and filters count against the cache, so that memory is bounded, but leave it
        // last.
        unsafe rocksdb_block_based_options_set_cache_index_and_filter_blocks(blocks, 1)
        unsafe rocksdb_block_based_options_set_cache_index_and_filter_blocks_with_high_priority(
            blocks, 1)
        unsafe rocksdb_block_based_options_set_pin_l0_filter_and_index_blocks_in_cache(blocks, 1)
        unsafe rocksdb_block_based_options_set_whole_key_filtering(blocks, 1)
        switch profile {
        case .pointLookups:
            // A hash index inside each block: a hit needs no binary search.
            unsafe rocksdb_block_based_options_set_data_block_index_type(
                blocks, CInt(rocksdb_block_based_table_data_block_index_type_binary_search_and_hash)
            )
            unsafe rocksdb_block_based_options_set_data_block_hash_ratio(blocks, 0.75)
            unsafe rocksdb_block_based_options_set_block_size(blocks, 4 << 10)
            // Ribbon: 30 % less memory than Bloom at the same 1 % of false positives, and look-ups
            // are as fast. Fresh files, soon rewritten, get Bloom, which is faster to build.
            unsafe rocksdb_block_based_options_set_filter_policy(
                blocks, rocksdb_filterpolicy_create_ribbon_hybrid(10, 1))
        case .ordered, .small:
            // Larger blocks: fewer index entries, and a scan reads its neighbours anyway.
            unsafe rocksdb_block_based_options_set_block_size(blocks, 16 << 10)
            unsafe rocksdb_block_based_options_set_filter_policy(
                blocks, rocksdb_filterpolicy_create_bloom_full(10))
        }
        unsafe rocksdb_options_set_block_based_table_factory(options, blocks)
    }
}
