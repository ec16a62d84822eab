import { type AnyRoute, createRoute, lazyRouteComponent } from "@tanstack/react-router";

/** The routes of the Admin page. */
export const adminRoutes = (root: AnyRoute): AnyRoute[] => [
  createRoute({
    getParentRoute: () => root,
    path: "/admin",
    component: lazyRouteComponent(() => import("./AdminPage"), "AdminPage"),
  }),
];
