// Part of Cairn, a content-addressed blob store.
internal import ArgumentParser
internal import Cairn
internal import CairnServer

/// Serves the store as an image registry.
struct ServeCommand: StoreCommand {
    static let configuration = CommandConfiguration(
        commandName: "serve",
        abstract: "Serve the store as an image registry.",
        discussion: """
            Creates the store if there is none. Prints one line when it accepts connections. \
            While it runs, the other commands go through its socket in the store's directory. \
            SIGTERM and SIGINT stop it in order.
            """)

    @OptionGroup var options: StoreOptions

    @Option(
        help: ArgumentHelp(
            "Where to listen; port 0 takes any free one.", valueName: "host:port"))
    var listen = ListenAddress(host: "127.0.0.1", port: 5000)

    func perform() async throws {
        throw CommandFailure(code: "unexpected", message: "not built in")
    }
}
