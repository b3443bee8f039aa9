// Part of Cairn, a content-addressed blob store.
public import CairnRegistry

/// How a registry server runs.
public struct ServerConfiguration: Hashable, Sendable {
    /// The address to listen at; loopback, unless something in front of the server decides who
    /// may come in.
    public var host = "127.0.0.1"
    /// The TCP port; 0 takes any free one.
    public var port = 5000
    /// Where the socket for administration is made, mode 0600; nil makes none.
    public var adminSocketPath: String?
    /// The address to serve metrics at, to whoever can reach it; loopback, unless that is meant.
    public var metricsHost = "127.0.0.1"
    /// The TCP port for metrics, never that of the registry; 0 takes any free one, nil serves
    /// none.
    public var metricsPort: Int?
    /// How the registry behaves.
    public var registry = RegistryConfiguration()
    /// The largest blob in bytes that a client may upload: 1 TiB.
    public var blobByteCountMax: UInt64 = 1 << 40
    /// The upload sessions that stay open between requests, of about 5 MiB each.
    public var openUploadCountMax = 256
    /// The connections that are served at once; further ones wait. With the files of the store
    /// they fit a descriptor limit of 1024.
    public var connectionCountMax = 512
    /// The time within which a client that sends a body must bring 1 KiB of it, or the end.
    public var bodyWindow = Duration.seconds(30)
    /// How often the store is swept, compacted and scrubbed: deleted blobs and expired upload
    /// sessions give their room back within a few of these.
    public var maintenanceInterval = Duration.seconds(60)
    /// Bytes of stored records that are read again and checked in each of these intervals: at
    /// 256 MiB a minute, a terabyte takes less than three days.
    public var scrubByteCount: UInt64 = 256 << 20
    /// Bytes per second that each of them reads and writes at most, so that clients have the disk.
    public var maintenanceByteRateMax: UInt64 = 64 << 20
    /// The time that requests under way have to end when the server is told to stop.
    public var shutdownGrace = Duration.seconds(30)

    /// The defaults.
    public init() {}
}
