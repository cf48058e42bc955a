#ifndef ATTENTION_CLIENT_CLI_COMMANDS_COMMANDS_H_
#define ATTENTION_CLIENT_CLI_COMMANDS_COMMANDS_H_

#include <ostream>
#include <string>
#include <vector>

#include "client/attention_client.h"
#include "client/cli/views/heat_map.h"

namespace attention::client {

// What the program's exit code tells a script.
enum ExitCode : int {
  kExitOk = 0,
  kExitFailed = 1,  // the server refused the call or failed in it, or its answer cannot be written
  kExitUsage = 2,   // the command line or the file is wrong; nothing was sent
  kExitNoServer = 3,  // nothing answers there, or what answers is not serving
};

// One command, as its flags said.
struct CommandOptions {
  ClientOptions client;
  std::string file;                        // attend, encode, explain: a path, or "-" for standard
                                           // input
  std::vector<std::string> more_files;     // attend: others, sent with it on one stream
  std::vector<std::string> words;          // names of the tokens, in place of the file's; or none
  std::vector<std::string> arguments;      // layers: what to do, and with what
  bool json = false;                       // attend, encode, layers: protobuf JSON
  std::string save;                        // attend, encode: a file for all tensors (array_file.h),
                                           // in place of the text
  Shading shading = Shading::kCharacters;  // explain
  std::string html;                        // explain: the file for a page, in place of the text
  std::string png;                         // explain: the file for a picture, likewise
  bool progress = false;                   // layers upload: a bar on `err`
  std::string service;                     // health: "" for the server as a whole
  bool watch = false;                      // health: tell each change
  std::string http;                        // health: HOST:PORT of --metrics_port, asked instead
};

// Each runs one command to its end: results go to `out`, and what went wrong to `err`, with control
// characters escaped that came from a file or the server.

// Prints every result as tables, or the response as protobuf JSON with the schema's field names.
// Several files are sent on one stream, and each answer is printed below its file's name as it
// comes.
ExitCode RunAttend(const CommandOptions& options, std::ostream& out, std::ostream& err);

// Prints the results of a stored encoder likewise. --words name the tokens.
ExitCode RunEncode(const CommandOptions& options, std::ostream& out, std::ostream& err);

// One of
//   list                                all stored layers as a table
//   get NAME[@VERSION]                  one layer as protobuf JSON
//   upload NAME FOLDER                  model.safetensors and config.json in that folder
//   upload NAME MODEL CONFIG            these two files
//   create FILE.json                    a CreateLayerRequest in protobuf JSON, or "-"
//   delete NAME[@VERSION]               one version, or all
ExitCode RunLayers(const CommandOptions& options, std::ostream& out, std::ostream& err);

// Prints the heat maps and what each token attends to most, or writes them as a page or a picture.
ExitCode RunExplain(const CommandOptions& options, std::ostream& out, std::ostream& err);

// Prints "SERVING", or why not; or each state as it comes, until the server is gone. Every failure
// is kExitNoServer but that of the command line.
ExitCode RunHealth(const CommandOptions& options, std::ostream& out, std::ostream& err);

}  // namespace attention::client

#endif  // ATTENTION_CLIENT_CLI_COMMANDS_COMMANDS_H_
