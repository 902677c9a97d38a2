{
  description = "provbuild compiles a provisioning profile into a reproducible appliance image and its netboot artifacts";

  inputs.nixpkgs.url = "github:NixOS/nixpkgs/nixos-unstable";

  outputs =
    { self, nixpkgs }:
    let
      # The tool builds amd64 appliances; it runs where these systems' sandboxes do.
      systems = [
        "x86_64-linux"
        "aarch64-linux"
      ];
      eachSystem = f: nixpkgs.lib.genAttrs systems (system: f nixpkgs.legacyPackages.${system});
      manifest = (builtins.fromTOML (builtins.readFile ./Cargo.toml)).workspace.package;

      # What the tests call, as in scripts/install-test-tools.
      judges =
        pkgs: with pkgs; [
          acl
          busybox
          curl
          dnsmasq
          dosfstools
          dpkg
          e2fsprogs
          gptfdisk
          iproute2
          libcap
          mmdebstrap
          mtools
          nftables
          nginx
          openssh
          qemu
          util-linux
          xorriso
        ];

      package =
        pkgs: extra:
        pkgs.rustPlatform.buildRustPackage (
          {
            pname = "provbuild";
            version = manifest.version;
            src = nixpkgs.lib.cleanSource self;
            cargoLock.lockFile = ./Cargo.lock;
            # The quick tier only, and without the judges: the full tests boot machines and read an archive.
            doCheck = false;
            meta = {
              description = "Compiles a provisioning profile into a reproducible appliance image";
              license = nixpkgs.lib.licenses.asl20;
              mainProgram = "provbuild";
              platforms = systems;
            };
          }
          // extra
        );
    in
    {
      packages = eachSystem (pkgs: rec {
        provbuild = package pkgs { };
        default = provbuild;
      });

      devShells = eachSystem (pkgs: {
        default = pkgs.mkShell {
          packages = judges pkgs ++ (with pkgs; [
            cargo
            cargo-deny
            clippy
            rustc
            rustfmt
          ]);
          # The firmware, where the tests look when Debian's paths are absent.
          PROVBUILD_OVMF = "${pkgs.OVMF.fd}/FV";
        };
      });

      checks = eachSystem (pkgs: {
        quick-tests = package pkgs {
          pname = "provbuild-quick-tests";
          doCheck = true;
          nativeCheckInputs = judges pkgs;
        };
        clippy = package pkgs {
          pname = "provbuild-clippy";
          nativeBuildInputs = [ pkgs.clippy ];
          buildPhase = "cargo clippy --release --workspace --all-targets --offline -- -D warnings";
          installPhase = "touch $out";
        };
        format = pkgs.runCommand "provbuild-format" { nativeBuildInputs = [ pkgs.cargo pkgs.rustfmt ]; } ''
          cd ${self} && cargo fmt --all --check && touch $out
        '';
      });
    };
}
