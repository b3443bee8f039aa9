// Part of Cairn, a content-addressed blob store.
//
// Serves the registry of the guide "A registry in 200 lines":
//
//   swift run tiny-registry [DIRECTORY [PORT]]        (./tiny-data, 5000)
import Cairn
import CairnExamples
import Hummingbird

let arguments = CommandLine.arguments.dropFirst()
let directory = arguments.first ?? "./tiny-data"
let port = arguments.dropFirst().first.flatMap(Int.init) ?? 5000
let store = try await Store.open(at: directory)
let application = Application(
    responder: TinyRegistry(store.defaultAccount),
    configuration: .init(address: .hostname("127.0.0.1", port: port)))
try await application.runService()
try await store.close()
