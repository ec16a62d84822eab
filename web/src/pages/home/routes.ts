import { type AnyRoute, createRoute, lazyRouteComponent } from "@tanstack/react-router";

/** Home, the way of own files into a table, and other catalogs. */
export const homeRoutes = (root: AnyRoute): AnyRoute[] => [
  createRoute({
    getParentRoute: () => root,
    path: "/",
    component: lazyRouteComponent(() => import("./HomePage"), "HomePage"),
  }),
  createRoute({
    getParentRoute: () => root,
    path: "/import",
    component: lazyRouteComponent(() => import("./load/LoadPage"), "LoadPage"),
  }),
  createRoute({
    getParentRoute: () => root,
    path: "/connect",
    component: lazyRouteComponent(() => import("./connect/ConnectPage"), "ConnectPage"),
  }),
];
