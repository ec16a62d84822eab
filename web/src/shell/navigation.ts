// Going somewhere from outside of React: commands, hand-overs.

type Go = (to: string) => void;

let navigate: Go = (to) => window.location.assign(to);

/** The router registers itself here. */
export function setNavigator(go: Go): void {
  navigate = go;
}

/** Opens a page of the studio, by its path (with its search, if any). */
export function go(to: string): void {
  navigate(to);
}
