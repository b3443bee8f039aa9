// Part of Cairn, a content-addressed blob store.
internal import Cairn
internal import Hummingbird
internal import Logging
internal import NIOCore
internal import Synchronization

/// What belongs to one request beside its bytes.
struct ServerContext: InitializableFromSource, RequestContextSource {
    let channel: any Channel
    let logger: Logger
    /// Whether the request's body has been read to its end.
    let isBodyRead = Shared(false)

    init(source: ApplicationRequestContextSource) {
        channel = source.channel
        logger = source.logger
    }

    /// How long a client that is still sending has to see the answer: closing at once would
    /// reset the connection, and the answer with it.
    static let lingerTime = TimeAmount.seconds(6)

    /// Ends the connection when the request's body was not read: whoever reads and drops it
    /// would wait for a client that may send it a byte at a time.
    func endIfUnread(_ request: Request, _ response: inout Response) {
        let isChunked = request.headers[.transferEncoding] != nil
        let announced = request.headers[.contentLength].flatMap { ByteRange.decimal($0) } ?? 0
        guard isChunked || announced > 0, !isBodyRead.value.withLock({ $0 })
        else { return }
        response.headers[.connection] = "close"
        let channel = channel
        channel.eventLoop.scheduleTask(in: Self.lingerTime) { channel.close(promise: nil) }
    }
}
